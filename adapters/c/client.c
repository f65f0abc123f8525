// A GET request. What else WASI can send is in bindings/bindings.h.
#include <stdio.h>
#include <string.h>

#include "bindings/bindings.h"
#include "server.h"

static const char *const errors[] = {
    "DNS-timeout", "DNS-error", "destination-not-found", "destination-unavailable", "destination-IP-prohibited",
    "destination-IP-unroutable", "connection-refused", "connection-terminated", "connection-timeout",
    "connection-read-timeout", "connection-write-timeout", "connection-limit-reached", "TLS-protocol-error",
    "TLS-certificate-error", "TLS-alert-received", "HTTP-request-denied", "HTTP-request-length-required",
    "HTTP-request-body-size", "HTTP-request-method-invalid", "HTTP-request-URI-invalid", "HTTP-request-URI-too-long",
    "HTTP-request-header-section-size", "HTTP-request-header-size", "HTTP-request-trailer-section-size",
    "HTTP-request-trailer-size", "HTTP-response-incomplete", "HTTP-response-header-section-size",
    "HTTP-response-header-size", "HTTP-response-body-size", "HTTP-response-trailer-section-size",
    "HTTP-response-trailer-size", "HTTP-response-transfer-coding", "HTTP-response-content-coding",
    "HTTP-response-timeout", "HTTP-upgrade-failed", "HTTP-protocol-error", "loop-detected", "configuration-error",
    "internal-error"};

static int fail(http_error_code_t *error, char *body, size_t size) {
  snprintf(body, size, "wasi:http: %s", errors[error->tag]);
  http_error_code_free(error);
  return -1;
}

static bindings_string_t part(const char *text, size_t length) {
  return (bindings_string_t){(uint8_t *)text, length};
}

static bool make_request(const char *url, http_own_outgoing_request_t *request) {
  http_scheme_t scheme = {.tag = HTTP_SCHEME_HTTP};
  if (!strncmp(url, "http://", 7)) {
    url += 7;
  } else if (!strncmp(url, "https://", 8)) {
    scheme.tag = HTTP_SCHEME_HTTPS;
    url += 8;
  } else {
    return false;
  }
  size_t length = strcspn(url, "/?#");
  bindings_string_t authority = part(url, length);
  bindings_string_t path = part(url + length, strcspn(url + length, "#"));
  if (path.len == 0) path = part("/", 1);
  *request = http_constructor_outgoing_request(http_constructor_fields());
  http_borrow_outgoing_request_t r = http_borrow_outgoing_request(*request);
  if (http_method_outgoing_request_set_scheme(r, &scheme) && http_method_outgoing_request_set_authority(r, &authority) &&
      http_method_outgoing_request_set_path_with_query(r, &path))
    return true;
  http_outgoing_request_drop_own(*request);
  return false;
}

// Reads as much as there is room for.
static bool read_body(http_own_incoming_response_t response, char *to, size_t size) {
  http_own_incoming_body_t body;
  io_own_input_stream_t input;
  if (!http_method_incoming_response_consume(http_borrow_incoming_response(response), &body)) return false;
  if (!http_method_incoming_body_stream(http_borrow_incoming_body(body), &input)) return false;
  bindings_list_u8_t bytes;
  io_stream_error_t error = {.tag = IO_STREAM_ERROR_CLOSED};
  while (size > 1 && io_method_input_stream_blocking_read(io_borrow_input_stream(input), size - 1, &bytes, &error)) {
    memcpy(to, bytes.ptr, bytes.len);
    to += bytes.len;
    size -= bytes.len;
    bindings_list_u8_free(&bytes);
  }
  *to = 0;
  io_input_stream_drop_own(input);
  http_incoming_body_drop_own(body);
  bool complete = error.tag == IO_STREAM_ERROR_CLOSED;
  io_stream_error_free(&error);
  return complete;
}

int fetch(const char *url, char *body, size_t size) {
  http_own_outgoing_request_t request;
  if (!make_request(url, &request)) {
    snprintf(body, size, "not a URL of http or https: %s", url);
    return -1;
  }
  http_own_future_incoming_response_t future;
  http_error_code_t error;
  if (!client_handle(request, NULL, &future, &error)) return fail(&error, body, size);

  poll_own_pollable_t ready =
      http_method_future_incoming_response_subscribe(http_borrow_future_incoming_response(future));
  poll_method_pollable_block(poll_borrow_pollable(ready));
  poll_pollable_drop_own(ready);
  http_result_result_own_incoming_response_error_code_void_t result;
  http_method_future_incoming_response_get(http_borrow_future_incoming_response(future), &result);
  http_future_incoming_response_drop_own(future);
  if (result.val.ok.is_err) return fail(&result.val.ok.val.err, body, size);

  http_own_incoming_response_t response = result.val.ok.val.ok;
  int status = http_method_incoming_response_status(http_borrow_incoming_response(response));
  if (!read_body(response, body, size)) {
    snprintf(body, size, "the response broke off");
    status = -1;
  }
  http_incoming_response_drop_own(response);
  return status;
}
