// An app of WASI 0.2 in C++. To be included in one file, which implements these three.
#pragma once

#include <array>
#include <charconv>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "server.h"

namespace server {

class Request;
class Response;

// The answer is complete when it returns.
void handle(Request &request, Response &response);
// Called in each instance before its first request. Nothing, or why the app cannot start.
std::optional<std::string> startup();
// Called in each instance after its last request.
void shutdown();

// A request's body, as a range of std::string_view. Each is good until the next.
class Body {
 public:
  class iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;

    explicit iterator(Body &body) : body_(&body) { ++*this; }
    std::string_view operator*() const { return {body_->buffer_.data(), length_}; }
    iterator &operator++() {
      auto length = request_read(body_->request_, body_->buffer_.data(), body_->buffer_.size());
      length_ = length > 0 ? static_cast<std::size_t>(length) : 0;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return length_ == 0; }

   private:
    Body *body_;
    std::size_t length_ = 0;
  };

  explicit Body(request *r) : request_(r) {}
  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() { return {}; }

 private:
  request *request_;
  std::array<char, 16 << 10> buffer_; // the stack is 1 MiB
};

class Request {
 public:
  explicit Request(request *r) : request_(r) {}
  std::string_view method() const { return request_method(request_); }
  std::string_view path() const { return request_path(request_); }
  std::optional<std::string> query(const std::string &name) const {
    return optional(request_query(request_, name.c_str()));
  }
  std::optional<std::string> header(const std::string &name) const {
    return optional(request_header(request_, name.c_str()));
  }
  Body body() { return Body(request_); }

  // A parameter of the query as a number.
  std::optional<long> number(const std::string &name) const {
    auto text = query(name).value_or("");
    long value;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
  }

 private:
  static std::optional<std::string> optional(const char *text) {
    return text ? std::make_optional<std::string>(text) : std::nullopt;
  }

  request *request_;
};

// Headers and the status can be set until the first byte is sent.
class Response {
 public:
  explicit Response(request *r) : request_(r) {}
  Response &status(int code) { return response_status(request_, code), *this; }
  Response &header(const std::string &name, const std::string &value) {
    return response_header(request_, name.c_str(), value.c_str()), *this;
  }
  // False if the client is gone.
  bool write(std::string_view data) { return response_write(request_, data.data(), data.size()); }
  bool flush() { return response_flush(request_); }
  // Comes after the body. Announce it in a header Trailer.
  bool trailer(const std::string &name, const std::string &value) {
    return response_trailer(request_, name.c_str(), value.c_str());
  }

 private:
  request *request_;
};

} // namespace server

extern "C" {
void app_handle(request *r) {
  server::Request request(r);
  server::Response response(r);
  server::handle(request, response);
}

const char *app_startup(void) {
  static std::optional<std::string> failure;
  failure = server::startup();
  return failure ? failure->c_str() : nullptr;
}

void app_shutdown(void) { server::shutdown(); }
}
