// Parameters in a query: a=1&b=two%20words
#ifndef QUERY_H
#define QUERY_H

#include <stddef.h>
#include <string.h>

// The value of the first parameter of that name, not decoded, or NULL.
static inline const char *query_find(const char *query, const char *name, size_t *length) {
  size_t wanted = strlen(name);
  for (const char *at = query; *at;) {
    size_t size = strcspn(at, "&");
    if (size >= wanted && !memcmp(at, name, wanted) && (size == wanted || at[wanted] == '=')) {
      const char *value = at + wanted + (size > wanted);
      *length = (size_t)(at + size - value);
      return value;
    }
    at += size + (at[size] == '&');
  }
  return NULL;
}

static inline int query_hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Decodes where it is.
static inline char *query_decode(char *text) {
  char *to = text;
  for (const char *at = text; *at; at++) {
    if (*at == '%' && query_hex(at[1]) >= 0 && query_hex(at[2]) >= 0) {
      *to++ = (char)(query_hex(at[1]) << 4 | query_hex(at[2]));
      at += 2;
    } else {
      *to++ = *at == '+' ? ' ' : *at;
    }
  }
  *to = 0;
  return text;
}

#endif
