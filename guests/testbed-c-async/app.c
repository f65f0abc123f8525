// The testbed in C for WASI 0.3: guests/README.md lists its routes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "async.h"

extern char **environ;

static long number(request *r, const char *name, long otherwise) {
  const char *value = request_query(r, name);
  return value ? atol(value) : otherwise;
}

static bool hello(request *r) {
  BEGIN(r);
  AWAIT(r, response_write(r, "Hello, world!", 13));
  END;
}

static bool not_found(request *r) {
  response_status(r, 404);
  BEGIN(r);
  AWAIT(r, response_write(r, "not found", 9));
  END;
}

static bool count(request *r) {
  static int counter;
  char *text = request_state(r, 16);
  BEGIN(r);
  snprintf(text, 16, "%d", ++counter);
  AWAIT(r, response_write(r, text, strlen(text)));
  END;
}

static bool echo(request *r) {
  enum { size = 64 << 10 };
  char *buffer = request_state(r, size);
  BEGIN(r);
  const char *type = request_header(r, "content-type");
  if (type) response_header(r, "content-type", type);
  for (;;) {
    AWAIT(r, request_read(r, buffer, size));
    if (r->result <= 0) break;
    AWAIT(r, response_write(r, buffer, (size_t)r->result));
    if (r->result < 0) break;
  }
  END;
}

static bool trailers(request *r) {
  BEGIN(r);
  response_header(r, "trailer", "x-trailer");
  AWAIT(r, response_write(r, "body", 4));
  response_trailer(r, "x-trailer", "yes");
  END;
}

static bool stream(request *r) {
  struct {
    long chunks, ms, sent;
    size_t size;
    char *chunk;
  } *s = request_state(r, sizeof *s);
  BEGIN(r);
  s->chunks = number(r, "chunks", 0);
  s->ms = number(r, "ms", 0);
  s->size = (size_t)number(r, "bytes", 1024);
  s->chunk = malloc(s->size + 1);
  memset(s->chunk, 'x', s->size);
  for (; s->chunks == 0 || s->sent < s->chunks; s->sent++) {
    AWAIT(r, response_write(r, s->chunk, s->size));
    if (r->result < 0) break;
    AWAIT(r, sleep_ms(r, (uint64_t)s->ms));
  }
  free(s->chunk);
  END;
}

static bool sleeping(request *r) {
  BEGIN(r);
  AWAIT(r, sleep_ms(r, (uint64_t)number(r, "ms", 0)));
  AWAIT(r, response_write(r, "slept", 5));
  END;
}

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static bool burn(request *r) {
  BEGIN(r);
  for (long end = now_ms() + number(r, "ms", 0); now_ms() < end;) {
  }
  AWAIT(r, response_write(r, "burned", 6));
  END;
}

static bool trap(request *r) {
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

static bool env(request *r) {
  struct {
    char *text;
    size_t size;
  } *s = request_state(r, sizeof *s);
  BEGIN(r);
  FILE *json = open_memstream(&s->text, &s->size);
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
  AWAIT(r, response_write(r, s->text, s->size));
  free(s->text);
  END;
}

static bool out(request *r) {
  struct {
    size_t length, head;
    char text[32 + 200];
  } *s = request_state(r, sizeof *s);
  BEGIN(r);
  const char *url = request_query(r, "url");
  AWAIT(r, fetch(r, url ? url : ""));
  if (r->result < 0) {
    response_status(r, 502);
    AWAIT(r, response_write(r, fetch_error(r), strlen(fetch_error(r))));
    return true;
  }
  s->head = s->length = (size_t)sprintf(s->text, "status %d\n", (int)r->result);
  while (s->length < s->head + 200) {
    AWAIT(r, fetch_read(r, s->text + s->length, s->head + 200 - s->length));
    if (r->result <= 0) break;
    s->length += (size_t)r->result;
  }
  AWAIT(r, response_write(r, s->text, s->length));
  END;
}

static bool status(request *r) {
  const char *body = request_query(r, "body");
  BEGIN(r);
  response_status(r, (int)number(r, "code", 200));
  AWAIT(r, response_write(r, body ? body : "", body ? strlen(body) : 0));
  END;
}

static const struct {
  const char *path;
  handler *handler;
} routes[] = {
    {"/", hello},         {"/hello", hello},    {"/count", count}, {"/echo", echo}, {"/trailers", trailers},
    {"/stream", stream},  {"/sleep", sleeping}, {"/burn", burn},   {"/trap", trap}, {"/env", env},
    {"/out", out},        {"/status", status},
};

handler *app_route(request *r) {
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
    if (!strcmp(request_path(r), routes[i].path)) return routes[i].handler;
  return not_found;
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
