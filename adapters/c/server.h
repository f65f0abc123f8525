// An app of WASI 0.2 in C: what it implements, and what it can do with a request.
// Strings that functions return belong to the request and end with it.
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct request request;

// To be implemented by the app. The answer is complete when app_handle returns.
void app_handle(request *r);
// Called in each instance before its first request. NULL, or why the app cannot start.
const char *app_startup(void);
// Called in each instance after its last request.
void app_shutdown(void);

// "GET"
const char *request_method(request *r);
// Without the query, not decoded: "/hello"
const char *request_path(request *r);
// A parameter of the query, decoded, or NULL.
const char *request_query(request *r, const char *name);
// The first header of that name in any case, or NULL.
const char *request_header(request *r, const char *name);
// The next bytes of the body. 0 at its end, negative if the client is gone.
ptrdiff_t request_read(request *r, void *buffer, size_t size);

// Headers and the status can be set until the first byte is written. The status is 200 if nothing is said.
void response_status(request *r, int status);
bool response_header(request *r, const char *name, const char *value);
// Sends bytes as they come. False if the client is gone.
bool response_write(request *r, const void *data, size_t size);
bool response_flush(request *r);
// Comes after the body. Announce it in a header Trailer.
bool response_trailer(request *r, const char *name, const char *value);
// A short answer of text.
void respond(request *r, int status, const char *text);

void sleep_ms(uint64_t ms);

// Sends a GET request. Answers the status and puts the beginning of the body, at most size - 1 bytes and a 0,
// into body; or answers -1 and puts the error there.
int fetch(const char *url, char *body, size_t size);

#ifdef __cplusplus
}
#endif
#endif
