// The testbed in C: guests/README.md lists its routes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server.h"

extern char **environ;

static long number(request *r, const char *name, long otherwise) {
  const char *value = request_query(r, name);
  return value ? atol(value) : otherwise;
}

static void hello(request *r) { respond(r, 200, "Hello, world!"); }

static void count(request *r) {
  static int counter;
  char text[16];
  snprintf(text, sizeof text, "%d", ++counter);
  respond(r, 200, text);
}

static void echo(request *r) {
  const char *type = request_header(r, "content-type");
  if (type) response_header(r, "content-type", type);
  static char buffer[64 << 10];
  ptrdiff_t length;
  while ((length = request_read(r, buffer, sizeof buffer)) > 0)
    if (!response_write(r, buffer, (size_t)length)) return;
}

static void trailers(request *r) {
  response_header(r, "trailer", "x-trailer");
  respond(r, 200, "body");
  response_trailer(r, "x-trailer", "yes");
}

static void stream(request *r) {
  long chunks = number(r, "chunks", 0);
  size_t size = (size_t)number(r, "bytes", 1024);
  char *chunk = malloc(size + 1);
  memset(chunk, 'x', size);
  for (long i = 0; chunks == 0 || i < chunks; i++) {
    if (!response_write(r, chunk, size) || !response_flush(r)) break;
    sleep_ms((uint64_t)number(r, "ms", 0));
  }
  free(chunk);
}

static void sleeping(request *r) {
  sleep_ms((uint64_t)number(r, "ms", 0));
  respond(r, 200, "slept");
}

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void burn(request *r) {
  for (long end = now_ms() + number(r, "ms", 0); now_ms() < end;) {
  }
  respond(r, 200, "burned");
}

static void trap(request *r) {
  (void)r;
  __builtin_trap();
}

static void json_string(FILE *json, const char *text, size_t length) {
  putc('"', json);
  for (const char *at = text; at < text + length; at++)
    if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
      fprintf(json, "\\u%04x", *at);
    else
      putc(*at, json);
  putc('"', json);
}

static void env(request *r) {
  char *text;
  size_t size;
  FILE *json = open_memstream(&text, &size);
  putc('{', json);
  for (char **at = environ; *at; at++) {
    size_t name = strcspn(*at, "=");
    if (at != environ) putc(',', json);
    json_string(json, *at, name);
    putc(':', json);
    json_string(json, *at + name + 1, strlen(*at + name + 1));
  }
  putc('}', json);
  fclose(json);
  response_header(r, "content-type", "application/json");
  respond(r, 200, text);
  free(text);
}

static void out(request *r) {
  const char *url = request_query(r, "url");
  char body[201], head[32];
  int status = fetch(url ? url : "", body, sizeof body);
  if (status < 0) {
    respond(r, 502, body);
    return;
  }
  snprintf(head, sizeof head, "status %d\n", status);
  respond(r, 200, head);
  response_write(r, body, strlen(body));
}

static void status(request *r) {
  const char *body = request_query(r, "body");
  respond(r, (int)number(r, "code", 200), body ? body : "");
}

static const struct {
  const char *path;
  void (*handle)(request *r);
} routes[] = {
    {"/", hello},         {"/hello", hello},    {"/count", count}, {"/echo", echo}, {"/trailers", trailers},
    {"/stream", stream},  {"/sleep", sleeping}, {"/burn", burn},   {"/trap", trap}, {"/env", env},
    {"/out", out},        {"/status", status},
};

void app_handle(request *r) {
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
    if (!strcmp(request_path(r), routes[i].path)) {
      routes[i].handle(r);
      return;
    }
  respond(r, 404, "not found");
}

const char *app_startup(void) {
  const char *setting = getenv("TESTBED_STARTUP");
  if (setting && !strncmp(setting, "fail:", 5)) return setting + 5;
  puts("testbed: startup");
  return NULL;
}

void app_shutdown(void) {
  puts("testbed: shutdown");
}
