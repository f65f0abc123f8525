// An app of WASI 0.3 in C: many requests at a time in an instance.
// Strings that functions return belong to the request and end with it.
#ifndef ASYNC_H
#define ASYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct request {
  int line;         // where its handler goes on
  ptrdiff_t result; // of what was awaited
  struct task *task;
} request;

// A handler runs until it has to wait, and is called again to go on from there. So it is written between
// BEGIN and END, waits with AWAIT, and keeps what it needs after that in request_state: local variables
// are lost. It returns true when the answer is complete. There cannot be two AWAIT in a line, nor one
// in a switch.
typedef bool handler(request *r);

#define BEGIN(r)       \
  switch ((r)->line) { \
    case 0:
#define AWAIT(r, operation)       \
  do {                            \
    (r)->line = __LINE__;         \
    if (operation) return false;  \
    __attribute__((fallthrough)); \
    case __LINE__:;               \
  } while (0)
#define END \
  }         \
  return true

// To be implemented by the app: which handler answers this request.
handler *app_route(request *r);
// NULL, or why the app cannot start.
const char *app_startup(void);
void app_shutdown(void);

const char *request_path(request *r);
// A parameter of the query, decoded, or NULL.
const char *request_query(request *r, const char *name);
// The first header of that name in any case, or NULL.
const char *request_header(request *r, const char *name);
// Memory of the request, zero at first; always the same.
void *request_state(request *r, size_t size);

// Headers and the status can be set until the first byte is written.
void response_status(request *r, int status);
bool response_header(request *r, const char *name, const char *value);
bool response_trailer(request *r, const char *name, const char *value);

// To be awaited; true means that there is something to wait for. What they are given must stay where it is
// meanwhile: in request_state, or static.
bool request_read(request *r, void *buffer, size_t size);         // result: how many bytes, 0 at the end
bool response_write(request *r, const void *data, size_t size);   // result: negative if the client is gone
bool sleep_ms(request *r, uint64_t ms);
bool fetch(request *r, const char *url);                          // result: the status, or negative; see fetch_error
bool fetch_read(request *r, void *buffer, size_t size);           // the response's body, as request_read
const char *fetch_error(request *r);

#endif
