#include "async.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bindings/bindings.h"
#include "query.h"

typedef http_future_result_option_own_trailers_error_code_writer_t trailers_writer;
typedef http_future_result_void_error_code_writer_t done_writer;

typedef struct memory {
  struct memory *next;
  char text[];
} memory;

typedef struct {
  http_stream_u8_t reader; // 0: none
  bool ended;              // it may not be read any more
} input;

// A future that was written and not yet read. It may not be dropped until then.
typedef struct {
  uint32_t writer; // 0: none
  bool of_trailers;
} promise;

typedef struct task {
  request request;
  handler *run;
  bool finished;
  bindings_waitable_set_t set;
  memory *memory;
  void *state;

  char *path, *query;
  http_own_request_t incoming;
  http_own_fields_t request_headers;
  bool consumed;
  input body, fetched;

  int status;
  http_own_fields_t headers, trailers;
  bool has_type, has_trailers, started, gone;
  http_stream_u8_writer_t output;
  trailers_writer end;
  http_result_option_own_trailers_error_code_t end_value;

  enum { NOTHING, SLEEPING, READING, WRITING, FETCHING } awaited;
  uint32_t waitable;
  input *reading;
  const uint8_t *at;
  size_t left;
  client_result_own_response_error_code_t answer;
  promise promises[5];
} task;

static const http_result_void_error_code_t done = {.is_err = false};
static const http_result_option_own_trailers_error_code_t no_trailers = {.is_err = false};

static char *keep(task *t, const void *text, size_t length) {
  memory *m = malloc(sizeof *m + length + 1);
  if (!m) abort();
  m->next = t->memory;
  t->memory = m;
  if (length) memcpy(m->text, text, length);
  m->text[length] = 0;
  return m->text;
}

static void promised(task *t, uint32_t writer, bool of_trailers, bindings_waitable_status_t status) {
  if (status != BINDINGS_WAITABLE_STATUS_BLOCKED) {
    if (of_trailers)
      http_future_result_option_own_trailers_error_code_drop_writable(writer);
    else
      http_future_result_void_error_code_drop_writable(writer);
    return;
  }
  promise *p = t->promises;
  while (p->writer) p++;
  *p = (promise){writer, of_trailers};
  bindings_waitable_join(writer, t->set);
}

static void promise_trailers(task *t, trailers_writer writer, const http_result_option_own_trailers_error_code_t *value) {
  promised(t, writer, true, http_future_result_option_own_trailers_error_code_write(writer, value));
}

static void promise_done(task *t, done_writer writer) {
  promised(t, writer, false, http_future_result_void_error_code_write(writer, &done));
}

static bool await(task *t, uint32_t waitable, int what) {
  t->waitable = waitable;
  t->awaited = what;
  bindings_waitable_join(waitable, t->set);
  return true;
}

// The request

const char *request_path(request *r) { return r->task->path; }

const char *request_query(request *r, const char *name) {
  size_t length;
  const char *value = query_find(r->task->query, name, &length);
  return value ? query_decode(keep(r->task, value, length)) : NULL;
}

const char *request_header(request *r, const char *name) {
  bindings_string_t key = {(uint8_t *)name, strlen(name)};
  http_list_field_value_t values;
  http_method_fields_get(http_borrow_fields(r->task->request_headers), &key, &values);
  const char *value = values.len ? keep(r->task, values.ptr[0].ptr, values.ptr[0].len) : NULL;
  http_list_field_value_free(&values);
  return value;
}

void *request_state(request *r, size_t size) {
  if (!r->task->state) r->task->state = memset(keep(r->task, NULL, size), 0, size);
  return r->task->state;
}

static void have_read(task *t, bindings_waitable_status_t status) {
  t->request.result = BINDINGS_WAITABLE_COUNT(status);
  t->reading->ended = BINDINGS_WAITABLE_STATE(status) != BINDINGS_WAITABLE_COMPLETED;
}

static bool read_input(task *t, input *from, void *buffer, size_t size) {
  t->request.result = 0;
  if (!from->reader || from->ended) return false;
  t->reading = from;
  bindings_waitable_status_t status = http_stream_u8_read(from->reader, buffer, size);
  if (status == BINDINGS_WAITABLE_STATUS_BLOCKED) return await(t, from->reader, READING);
  have_read(t, status);
  return false;
}

bool request_read(request *r, void *buffer, size_t size) {
  task *t = r->task;
  if (!t->consumed) {
    done_writer writer;
    http_future_result_void_error_code_t end = http_future_result_void_error_code_new(&writer);
    http_tuple2_stream_u8_future_result_option_own_trailers_error_code_t parts;
    http_static_request_consume_body(t->incoming, end, &parts);
    http_future_result_option_own_trailers_error_code_drop_readable(parts.f1);
    t->body.reader = parts.f0;
    t->consumed = true;
    promise_done(t, writer);
  }
  return read_input(t, &t->body, buffer, size);
}

// The response

static bool append(http_own_fields_t fields, const char *name, const char *value) {
  bindings_string_t key = {(uint8_t *)name, strlen(name)};
  http_field_value_t bytes = {(uint8_t *)value, strlen(value)};
  http_header_error_t error;
  return http_method_fields_append(http_borrow_fields(fields), &key, &bytes, &error);
}

void response_status(request *r, int status) { r->task->status = status; }

bool response_header(request *r, const char *name, const char *value) {
  if (!strcasecmp(name, "content-type")) r->task->has_type = true;
  return !r->task->started && append(r->task->headers, name, value);
}

bool response_trailer(request *r, const char *name, const char *value) {
  task *t = r->task;
  if (!t->has_trailers) t->trailers = http_constructor_fields();
  t->has_trailers = true;
  return append(t->trailers, name, value);
}

static void start(task *t) {
  if (t->started) return;
  if (!t->has_type) append(t->headers, "content-type", "text/plain");
  t->started = true;
  http_stream_u8_t body = http_stream_u8_new(&t->output);
  http_future_result_option_own_trailers_error_code_t end =
      http_future_result_option_own_trailers_error_code_new(&t->end);
  http_tuple2_own_response_future_result_void_error_code_t made;
  http_static_response_new(t->headers, &body, end, &made);
  http_future_result_void_error_code_drop_readable(made.f1);
  http_method_response_set_status_code(http_borrow_response(made.f0), (uint16_t)t->status);
  exports_handler_handle_return((exports_handler_result_own_response_error_code_t){.is_err = false, .val.ok = made.f0});
}

static void have_written(task *t, bindings_waitable_status_t status) {
  t->at += BINDINGS_WAITABLE_COUNT(status);
  t->left -= BINDINGS_WAITABLE_COUNT(status);
  t->gone = BINDINGS_WAITABLE_STATE(status) != BINDINGS_WAITABLE_COMPLETED;
}

static bool write_rest(task *t) {
  while (t->left > 0 && !t->gone) {
    bindings_waitable_status_t status = http_stream_u8_write(t->output, t->at, t->left);
    if (status == BINDINGS_WAITABLE_STATUS_BLOCKED) return await(t, t->output, WRITING);
    have_written(t, status);
  }
  t->request.result = t->gone ? -1 : 0;
  return false;
}

bool response_write(request *r, const void *data, size_t size) {
  start(r->task);
  r->task->at = data;
  r->task->left = size;
  return write_rest(r->task);
}

bool sleep_ms(request *r, uint64_t ms) {
  bindings_subtask_status_t status = clock_wait_for(ms * 1000000);
  if (BINDINGS_SUBTASK_STATE(status) == BINDINGS_SUBTASK_RETURNED) return false;
  return await(r->task, BINDINGS_SUBTASK_HANDLE(status), SLEEPING);
}

// A request of our own

static bool make_request(task *t, const char *url, http_own_request_t *request) {
  http_scheme_t scheme = {.tag = !strncmp(url, "https:", 6) ? HTTP_SCHEME_HTTPS : HTTP_SCHEME_HTTP};
  const char *rest = strstr(url, "://");
  if (strncmp(url, "http", 4) || !rest) return false;
  rest += 3;
  size_t length = strcspn(rest, "/?#");
  bindings_string_t authority = {(uint8_t *)rest, length};
  bindings_string_t path = {(uint8_t *)rest + length, strcspn(rest + length, "#")};
  if (path.len == 0) path = (bindings_string_t){(uint8_t *)"/", 1};

  trailers_writer writer;
  http_future_result_option_own_trailers_error_code_t end = http_future_result_option_own_trailers_error_code_new(&writer);
  http_tuple2_own_request_future_result_void_error_code_t made;
  http_static_request_new(http_constructor_fields(), NULL, end, NULL, &made);
  http_future_result_void_error_code_drop_readable(made.f1);
  promise_trailers(t, writer, &no_trailers);
  *request = made.f0;
  http_borrow_request_t r = http_borrow_request(made.f0);
  if (http_method_request_set_scheme(r, &scheme) && http_method_request_set_authority(r, &authority) &&
      http_method_request_set_path_with_query(r, &path))
    return true;
  http_request_drop_own(made.f0);
  return false;
}

static void have_fetched(task *t) {
  t->request.result = -1;
  if (t->answer.is_err) return;
  t->request.result = http_method_response_get_status_code(http_borrow_response(t->answer.val.ok));
  done_writer writer;
  http_future_result_void_error_code_t end = http_future_result_void_error_code_new(&writer);
  http_tuple2_stream_u8_future_result_option_own_trailers_error_code_t parts;
  http_static_response_consume_body(t->answer.val.ok, end, &parts);
  http_future_result_option_own_trailers_error_code_drop_readable(parts.f1);
  promise_done(t, writer);
  t->fetched = (input){.reader = parts.f0};
}

bool fetch(request *r, const char *url) {
  task *t = r->task;
  http_own_request_t request;
  t->answer = (client_result_own_response_error_code_t){.is_err = true, .val.err.tag = HTTP_ERROR_CODE_HTTP_REQUEST_URI_INVALID};
  r->result = -1;
  if (!make_request(t, url, &request)) return false;
  bindings_subtask_status_t status = client_send(request, &t->answer);
  if (BINDINGS_SUBTASK_STATE(status) != BINDINGS_SUBTASK_RETURNED)
    return await(t, BINDINGS_SUBTASK_HANDLE(status), FETCHING);
  have_fetched(t);
  return false;
}

bool fetch_read(request *r, void *buffer, size_t size) { return read_input(r->task, &r->task->fetched, buffer, size); }

const char *fetch_error(request *r) {
  switch (r->task->answer.val.err.tag) {
    case HTTP_ERROR_CODE_HTTP_REQUEST_DENIED: return "HTTP-request-denied";
    case HTTP_ERROR_CODE_HTTP_REQUEST_URI_INVALID: return "HTTP-request-URI-invalid";
    case HTTP_ERROR_CODE_DESTINATION_IP_PROHIBITED: return "destination-IP-prohibited";
    case HTTP_ERROR_CODE_CONNECTION_REFUSED: return "connection-refused";
    case HTTP_ERROR_CODE_CONNECTION_TIMEOUT: return "connection-timeout";
    case HTTP_ERROR_CODE_DNS_ERROR: return "DNS-error";
    default: return "the request failed"; // wasi:http's error-code has more
  }
}

// What the server calls

static void finish(task *t) {
  start(t);
  t->finished = true;
  http_stream_u8_drop_writable(t->output);
  t->end_value = no_trailers;
  if (t->has_trailers) t->end_value.val.ok = (http_option_own_trailers_t){true, t->trailers};
  promise_trailers(t, t->end, &t->end_value);
  if (t->body.reader) http_stream_u8_drop_readable(t->body.reader);
  if (t->fetched.reader) http_stream_u8_drop_readable(t->fetched.reader);
  http_fields_drop_own(t->request_headers);
  if (!t->consumed) http_request_drop_own(t->incoming);
}

static bindings_callback_code_t go_on(task *t) {
  if (!t->finished && !t->waitable && t->run(&t->request)) finish(t);
  if (t->waitable) return BINDINGS_CALLBACK_CODE_WAIT(t->set);
  for (size_t i = 0; i < sizeof t->promises / sizeof *t->promises; i++)
    if (t->promises[i].writer) return BINDINGS_CALLBACK_CODE_WAIT(t->set);
  bindings_waitable_set_drop(t->set);
  for (memory *m = t->memory, *next; m; m = next) {
    next = m->next;
    free(m);
  }
  free(t);
  return BINDINGS_CALLBACK_CODE_EXIT;
}

bindings_callback_code_t exports_handler_handle(exports_handler_own_request_t incoming) {
  task *t = calloc(1, sizeof *t);
  if (!t) abort();
  t->request.task = t;
  t->set = bindings_waitable_set_new();
  bindings_context_set_0(t);
  t->incoming = incoming;
  t->request_headers = http_method_request_get_headers(http_borrow_request(incoming));
  t->headers = http_constructor_fields();
  t->status = 200;
  bindings_string_t raw = {(uint8_t *)"/", 1};
  if (http_method_request_get_path_with_query(http_borrow_request(incoming), &raw)) {
    t->path = keep(t, raw.ptr, raw.len);
    bindings_string_free(&raw);
  } else {
    t->path = keep(t, "/", 1);
  }
  t->query = t->path + strcspn(t->path, "?");
  if (*t->query) *t->query++ = 0;
  t->run = app_route(&t->request);
  return go_on(t);
}

bindings_callback_code_t exports_handler_handle_callback(bindings_event_t *event) {
  task *t = bindings_context_get_0();
  for (promise *p = t->promises; p < t->promises + sizeof t->promises / sizeof *t->promises; p++)
    if (event->waitable && p->writer == event->waitable) {
      bindings_waitable_join(p->writer, 0);
      promised(t, p->writer, p->of_trailers, 0); // drops it
      p->writer = 0;
      return go_on(t);
    }
  if (event->waitable != t->waitable) return go_on(t);
  if (event->event == BINDINGS_EVENT_SUBTASK && BINDINGS_SUBTASK_STATE(event->code) != BINDINGS_SUBTASK_RETURNED)
    return go_on(t);
  bindings_waitable_join(t->waitable, 0);
  if (event->event == BINDINGS_EVENT_SUBTASK) bindings_subtask_drop(t->waitable);
  t->waitable = 0;
  switch (t->awaited) {
    case READING: have_read(t, event->code); break;
    case WRITING:
      have_written(t, event->code);
      write_rest(t);
      break;
    case FETCHING: have_fetched(t); break;
    default: break;
  }
  return go_on(t);
}

bindings_callback_code_t exports_lifespan_startup(void) {
  setvbuf(stdout, NULL, _IOLBF, 0); // stdout is no terminal here, but is read line by line
  const char *message = app_startup();
  exports_lifespan_result_void_string_t result = {.is_err = message != NULL};
  if (message) bindings_string_dup(&result.val.err, message);
  exports_lifespan_startup_return(result);
  return BINDINGS_CALLBACK_CODE_EXIT;
}

bindings_callback_code_t exports_lifespan_startup_callback(bindings_event_t *event) {
  (void)event;
  return BINDINGS_CALLBACK_CODE_EXIT;
}

bindings_callback_code_t exports_lifespan_shutdown(void) {
  app_shutdown();
  exports_lifespan_shutdown_return();
  return BINDINGS_CALLBACK_CODE_EXIT;
}

bindings_callback_code_t exports_lifespan_shutdown_callback(bindings_event_t *event) {
  (void)event;
  return BINDINGS_CALLBACK_CODE_EXIT;
}
