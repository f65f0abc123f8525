#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bindings/bindings.h"
#include "query.h"

typedef struct memory {
  struct memory *next;
  char text[];
} memory;

struct request {
  http_own_incoming_request_t incoming;
  http_own_response_outparam_t outparam;
  char *path, *query;
  memory *memory; // freed at the end of the request

  http_own_incoming_body_t body;
  io_own_input_stream_t input;
  bool reading;

  int status;
  bool has_type, started;
  http_own_fields_t headers, trailers;
  bool has_trailers;
  http_own_outgoing_body_t out;
  io_own_output_stream_t output;
};

static char *keep(request *r, const void *text, size_t length) {
  memory *m = malloc(sizeof *m + length + 1);
  if (!m) abort();
  m->next = r->memory;
  r->memory = m;
  if (length) memcpy(m->text, text, length);
  m->text[length] = 0;
  return m->text;
}

static bindings_string_t borrowed(const char *text) {
  return (bindings_string_t){(uint8_t *)text, strlen(text)};
}

static void wait_for(poll_own_pollable_t pollable) {
  poll_method_pollable_block(poll_borrow_pollable(pollable));
  poll_pollable_drop_own(pollable);
}

void sleep_ms(uint64_t ms) { wait_for(clock_subscribe_duration(ms * 1000000)); }

// The request

const char *request_method(request *r) {
  static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  http_method_t method;
  http_method_incoming_request_method(http_borrow_incoming_request(r->incoming), &method);
  if (method.tag != HTTP_METHOD_OTHER) return names[method.tag];
  char *name = keep(r, method.val.other.ptr, method.val.other.len);
  http_method_free(&method);
  return name;
}

const char *request_path(request *r) { return r->path; }

const char *request_query(request *r, const char *name) {
  size_t length;
  const char *value = query_find(r->query, name, &length);
  return value ? query_decode(keep(r, value, length)) : NULL;
}

const char *request_header(request *r, const char *name) {
  http_own_fields_t fields = http_method_incoming_request_headers(http_borrow_incoming_request(r->incoming));
  bindings_string_t key = borrowed(name);
  http_list_field_value_t values;
  http_method_fields_get(http_borrow_fields(fields), &key, &values);
  const char *value = values.len ? keep(r, values.ptr[0].ptr, values.ptr[0].len) : NULL;
  http_list_field_value_free(&values);
  http_fields_drop_own(fields);
  return value;
}

ptrdiff_t request_read(request *r, void *buffer, size_t size) {
  if (!r->reading) {
    if (!http_method_incoming_request_consume(http_borrow_incoming_request(r->incoming), &r->body)) return 0;
    if (!http_method_incoming_body_stream(http_borrow_incoming_body(r->body), &r->input)) abort();
    r->reading = true;
  }
  bindings_list_u8_t bytes;
  io_stream_error_t error;
  do {
    if (!io_method_input_stream_blocking_read(io_borrow_input_stream(r->input), size, &bytes, &error)) {
      bool closed = error.tag == IO_STREAM_ERROR_CLOSED;
      io_stream_error_free(&error);
      return closed ? 0 : -1;
    }
  } while (bytes.len == 0 && size > 0);
  ptrdiff_t length = (ptrdiff_t)bytes.len;
  memcpy(buffer, bytes.ptr, bytes.len);
  bindings_list_u8_free(&bytes);
  return length;
}

// The response

static bool append(http_own_fields_t fields, const char *name, const char *value) {
  bindings_string_t key = borrowed(name);
  http_field_value_t bytes = {(uint8_t *)value, strlen(value)};
  http_header_error_t error;
  return http_method_fields_append(http_borrow_fields(fields), &key, &bytes, &error);
}

void response_status(request *r, int status) { r->status = status; }

bool response_header(request *r, const char *name, const char *value) {
  if (r->started) return false;
  if (!strcasecmp(name, "content-type")) r->has_type = true;
  return append(r->headers, name, value);
}

bool response_trailer(request *r, const char *name, const char *value) {
  if (!r->has_trailers) r->trailers = http_constructor_fields();
  r->has_trailers = true;
  return append(r->trailers, name, value);
}

static void start(request *r) {
  if (r->started) return;
  if (!r->has_type) response_header(r, "content-type", "text/plain");
  r->started = true;
  http_own_outgoing_response_t response = http_constructor_outgoing_response(r->headers);
  http_method_outgoing_response_set_status_code(http_borrow_outgoing_response(response), (uint16_t)r->status);
  if (!http_method_outgoing_response_body(http_borrow_outgoing_response(response), &r->out)) abort();
  http_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  http_static_response_outparam_set(r->outparam, &result);
  if (!http_method_outgoing_body_write(http_borrow_outgoing_body(r->out), &r->output)) abort();
}

bool response_write(request *r, const void *data, size_t size) {
  start(r);
  io_borrow_output_stream_t output = io_borrow_output_stream(r->output);
  io_stream_error_t error;
  uint64_t room;
  for (const uint8_t *at = data; size > 0;) {
    if (!io_method_output_stream_check_write(output, &room, &error)) goto gone;
    if (room == 0) {
      wait_for(io_method_output_stream_subscribe(output));
      continue;
    }
    bindings_list_u8_t part = {(uint8_t *)at, size < room ? size : (size_t)room};
    if (!io_method_output_stream_write(output, &part, &error)) goto gone;
    at += part.len;
    size -= part.len;
  }
  return true;
gone:
  io_stream_error_free(&error);
  return false;
}

bool response_flush(request *r) {
  start(r);
  io_stream_error_t error;
  if (io_method_output_stream_blocking_flush(io_borrow_output_stream(r->output), &error)) return true;
  io_stream_error_free(&error);
  return false;
}

void respond(request *r, int status, const char *text) {
  response_status(r, status);
  response_write(r, text, strlen(text));
}

static void finish(request *r) {
  start(r);
  io_output_stream_drop_own(r->output);
  http_error_code_t error;
  if (!http_static_outgoing_body_finish(r->out, r->has_trailers ? &r->trailers : NULL, &error))
    http_error_code_free(&error);
  if (r->reading) {
    io_input_stream_drop_own(r->input);
    http_incoming_body_drop_own(r->body);
  }
  http_incoming_request_drop_own(r->incoming);
  for (memory *m = r->memory, *next; m; m = next) {
    next = m->next;
    free(m);
  }
}

// What the server calls

void exports_handler_handle(http_own_incoming_request_t incoming, http_own_response_outparam_t outparam) {
  request r = {.incoming = incoming, .outparam = outparam, .status = 200, .headers = http_constructor_fields()};
  bindings_string_t raw;
  if (http_method_incoming_request_path_with_query(http_borrow_incoming_request(incoming), &raw)) {
    r.path = keep(&r, raw.ptr, raw.len);
    bindings_string_free(&raw);
  } else {
    r.path = keep(&r, "/", 1);
  }
  r.query = r.path + strcspn(r.path, "?");
  if (*r.query) *r.query++ = 0;
  app_handle(&r);
  finish(&r);
}

bool exports_lifespan_startup(bindings_string_t *error) {
  setvbuf(stdout, NULL, _IOLBF, 0); // stdout is no terminal here, but is read line by line
  const char *message = app_startup();
  if (message) bindings_string_dup(error, message);
  return message == NULL;
}

void exports_lifespan_shutdown(void) { app_shutdown(); }
