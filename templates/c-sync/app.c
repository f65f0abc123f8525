#include <stdio.h>
#include <string.h>

#include "server.h"

// A global belongs to the instance: each has its own, and keeps it from request to request.
static int counter;

void app_handle(request *r) {
  if (!strcmp(request_path(r), "/")) {
    respond(r, 200, "Hello, world!\n");
  } else if (!strcmp(request_path(r), "/count")) {
    char text[32];
    snprintf(text, sizeof text, "%d\n", ++counter);
    respond(r, 200, text);
  } else {
    respond(r, 404, "not found\n");
  }
}

const char *app_startup(void) {
  puts("startup");
  return NULL; // or why the app cannot start
}

void app_shutdown(void) { puts("shutdown"); }
