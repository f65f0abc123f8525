"""The testbed as a WSGI app."""

import json
import os
import time
from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Err
from wit_world.imports import outgoing_handler
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import Fields, OutgoingRequest, Scheme_Http, Scheme_Https

count = 0


def app(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    route = ROUTES.get(environ["PATH_INFO"])
    if route:
        return route(Call(environ, start_response, query))
    return Call(environ, start_response, query).answer("not found", "404 Not Found")


def startup():
    failure = os.environ.get("TESTBED_STARTUP", "")
    if failure.startswith("fail:"):
        raise Err(failure[5:])
    print("testbed: startup")


def shutdown():
    print("testbed: shutdown")


class Call:
    def __init__(self, environ, start_response, query):
        self.environ = environ
        self.start_response = start_response
        self.query = query

    def number(self, name, default):
        return int(self.query.get(name, default))

    def start(self, status="200 OK", kind="text/plain"):
        self.start_response(status, [("content-type", kind)] if kind else [])

    def answer(self, text, status="200 OK"):
        self.start(status)
        return [str(text).encode()]


def hello(call):
    return call.answer("Hello, world!")


def count_up(call):
    global count
    count += 1
    return call.answer(count)


def echo(call):
    call.start(kind=call.environ.get("CONTENT_TYPE"))
    body = call.environ["wsgi.input"]
    return iter(lambda: body.read1(65536), b"")


def trailers(call):
    call.start_response("200 OK", [("content-type", "text/plain"), ("trailer", "x-trailer")])
    call.environ["wasmserve.trailers"].append(("x-trailer", "yes"))
    return [b"body"]


def stream(call):
    call.start()
    for _ in range(call.number("chunks", 10)):
        yield b"x" * call.number("bytes", 1024)
        time.sleep(call.number("ms", 0) / 1000)


def sleep(call):
    time.sleep(call.number("ms", 0) / 1000)
    return call.answer("slept")


def burn(call):
    end = time.monotonic() + call.number("ms", 0) / 1000
    while time.monotonic() < end:
        pass
    return call.answer("burned")


def trap(call):
    os.abort()


def throw(call):
    outer()


def outer():
    inner()


def inner():
    raise RuntimeError("thrown on purpose")


def env(call):
    return call.answer(json.dumps(dict(os.environ)))


def status(call):
    return call.answer(call.query.get("body", ""), f"{call.number('code', 200)} As asked for")


def fail(call):
    return []


def out(call):
    try:
        status, body = fetch(call.query.get("url", ""), 200)
    except Err as error:
        return call.answer(error.value, "502 Bad Gateway")
    call.start()
    return [f"status {status}\n".encode(), body]


def fetch(url, size):
    """The status, and the first `size` bytes of the body."""
    parts = urlsplit(url)
    request = OutgoingRequest(Fields())
    request.set_scheme(Scheme_Https() if parts.scheme == "https" else Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    with outgoing_handler.handle(request, None) as future:
        with future.subscribe() as ready:
            ready.block()
        result = future.get().value
    if isinstance(result, Err):
        raise result
    content = b""
    with result.value as response:
        status = response.status()
        with response.consume() as body, body.stream() as stream:
            try:
                while len(content) < size:
                    content += stream.blocking_read(size - len(content))
            except Err as error:
                if not isinstance(error.value, StreamError_Closed):
                    raise
    return status, content


ROUTES = {
    "/": hello,
    "/hello": hello,
    "/count": count_up,
    "/echo": echo,
    "/trailers": trailers,
    "/stream": stream,
    "/sleep": sleep,
    "/burn": burn,
    "/trap": trap,
    "/throw": throw,
    "/env": env,
    "/out": out,
    "/status": status,
    "/fail": fail,
}
