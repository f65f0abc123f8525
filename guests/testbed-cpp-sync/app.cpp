// The testbed in C++: guests/README.md lists its routes.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "server.hpp"

extern char **environ;

using server::Request, server::Response;

namespace {

std::chrono::milliseconds milliseconds(const Request &request) {
  return std::chrono::milliseconds(request.number("ms").value_or(0));
}

void hello(Request &, Response &response) { response.write("Hello, world!"); }

void count(Request &, Response &response) {
  static int counter;
  response.write(std::to_string(++counter));
}

void echo(Request &request, Response &response) {
  if (auto type = request.header("content-type")) response.header("content-type", *type);
  for (auto chunk : request.body())
    if (!response.write(chunk)) return;
}

void trailers(Request &, Response &response) {
  response.header("trailer", "x-trailer").write("body");
  response.trailer("x-trailer", "yes");
}

void stream(Request &request, Response &response) {
  const std::string chunk(static_cast<std::size_t>(request.number("bytes").value_or(1024)), 'x');
  const long chunks = request.number("chunks").value_or(0);
  for (long i = 0; chunks == 0 || i < chunks; i++) {
    if (!response.write(chunk) || !response.flush()) return;
    sleep_ms(static_cast<std::uint64_t>(milliseconds(request).count()));
  }
}

void sleeping(Request &request, Response &response) {
  sleep_ms(static_cast<std::uint64_t>(milliseconds(request).count()));
  response.write("slept");
}

void burn(Request &request, Response &response) {
  using clock = std::chrono::steady_clock;
  for (const auto end = clock::now() + milliseconds(request); clock::now() < end;) {
  }
  response.write("burned");
}

[[noreturn]] void trap(Request &, Response &) { std::abort(); }

std::string json(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\' || c < ' ') {
      std::array<char, 8> escaped;
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", c);
      out += escaped.data();
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

void env(Request &, Response &response) {
  std::string object;
  for (char **at = environ; *at; at++) {
    const std::string_view entry(*at);
    const auto equals = entry.find('=');
    object += (object.empty() ? "{" : ",") + json(entry.substr(0, equals)) + ":" + json(entry.substr(equals + 1));
  }
  response.header("content-type", "application/json").write(object.empty() ? "{}" : object + "}");
}

void out(Request &request, Response &response) {
  std::array<char, 201> body;
  const int status = fetch(request.query("url").value_or("").c_str(), body.data(), body.size());
  if (status < 0)
    response.status(502).write(body.data());
  else
    response.write("status " + std::to_string(status) + "\n" + body.data());
}

void status(Request &request, Response &response) {
  response.status(static_cast<int>(request.number("code").value_or(200))).write(request.query("body").value_or(""));
}

const std::map<std::string_view, void (*)(Request &, Response &)> routes = {
    {"/", hello},        {"/hello", hello},    {"/count", count}, {"/echo", echo}, {"/trailers", trailers},
    {"/stream", stream}, {"/sleep", sleeping}, {"/burn", burn},   {"/trap", trap}, {"/env", env},
    {"/out", out},       {"/status", status},
};

} // namespace

void server::handle(Request &request, Response &response) {
  if (auto route = routes.find(request.path()); route != routes.end())
    route->second(request, response);
  else
    response.status(404).write("not found");
}

std::optional<std::string> server::startup() {
  const char *setting = std::getenv("TESTBED_STARTUP");
  if (setting && std::string_view(setting).starts_with("fail:")) return setting + 5;
  std::puts("testbed: startup");
  return std::nullopt;
}

void server::shutdown() { std::puts("testbed: shutdown"); }
