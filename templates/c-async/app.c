#include <stdio.h>
#include <string.h>

#include "async.h"

// A global belongs to the instance: each has its own, and keeps it from request to request.
static int counter;

// A handler goes on after each AWAIT as if it had never left, but its local variables are lost then. What it
// still needs belongs in request_state.
static bool hello(request *r) {
  BEGIN(r);
  AWAIT(r, response_write(r, "Hello, world!\n", 14));
  END;
}

static bool count(request *r) {
  char *text = request_state(r, 32);
  BEGIN(r);
  snprintf(text, 32, "%d\n", ++counter);
  AWAIT(r, response_write(r, text, strlen(text)));
  END;
}

// Other requests are answered meanwhile.
static bool slow(request *r) {
  BEGIN(r);
  AWAIT(r, sleep_ms(r, 1000));
  AWAIT(r, response_write(r, "slept\n", 6));
  END;
}

static bool not_found(request *r) {
  response_status(r, 404);
  BEGIN(r);
  AWAIT(r, response_write(r, "not found\n", 10));
  END;
}

handler *app_route(request *r) {
  if (!strcmp(request_path(r), "/")) return hello;
  if (!strcmp(request_path(r), "/count")) return count;
  if (!strcmp(request_path(r), "/slow")) return slow;
  return not_found;
}

const char *app_startup(void) {
  puts("startup");
  return NULL; // or why the app cannot start
}

void app_shutdown(void) { puts("shutdown"); }
