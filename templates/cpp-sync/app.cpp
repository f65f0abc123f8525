#include "server.hpp"

#include <cstdio>

// A global belongs to the instance: each has its own, and keeps it from request to request.
static int counter;

void server::handle(Request &request, Response &response) {
  if (request.path() == "/")
    response.write("Hello, world!\n");
  else if (request.path() == "/count")
    response.write(std::to_string(++counter) + "\n");
  else
    response.status(404).write("not found\n");
}

std::optional<std::string> server::startup() {
  std::puts("startup");
  return std::nullopt; // or why the app cannot start
}

void server::shutdown() { std::puts("shutdown"); }
