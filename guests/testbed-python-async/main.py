"""The testbed as an ASGI app."""

import asyncio
import json
import os
import sys
import time
from urllib.parse import parse_qs, urlsplit

import wit_world
from componentize_py_types import Err, Ok
from wit_world.imports import client
from wit_world.imports.wasi_http_types import Fields, Request, Response, Scheme_Http, Scheme_Https

TEXT = [(b"content-type", b"text/plain")]
count = 0


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    route = ROUTES.get(scope["path"])
    if route:
        await route(Call(scope, receive, send, query))
    else:
        await Call(scope, receive, send, query).answer("not found", 404)


async def lifespan(receive, send):
    await receive()
    failure = os.environ.get("TESTBED_STARTUP", "")
    if failure.startswith("fail:"):
        await send({"type": "lifespan.startup.failed", "message": failure[5:]})
        return
    print("testbed: startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("testbed: shutdown")
    await send({"type": "lifespan.shutdown.complete"})


class Call:
    def __init__(self, scope, receive, send, query):
        self.scope = scope
        self.receive = receive
        self.send = send
        self.query = query

    def number(self, name, default):
        return int(self.query.get(name, default))

    async def start(self, status=200, headers=TEXT, **options):
        await self.send({"type": "http.response.start", "status": status, "headers": headers, **options})

    async def chunk(self, body, more=True):
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, text, status=200):
        await self.start(status)
        await self.chunk(str(text).encode(), more=False)


async def hello(call):
    await call.answer("Hello, world!")


async def count_up(call):
    global count
    count += 1
    await call.answer(count)


async def echo(call):
    kind = [header for header in call.scope["headers"] if header[0] == b"content-type"]
    await call.start(headers=kind)
    more = True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await call.chunk(message["body"], more)


async def trailers(call):
    await call.start(headers=TEXT + [(b"trailer", b"x-trailer")], trailers=True)
    await call.chunk(b"body", more=False)
    await call.send({"type": "http.response.trailers", "headers": [(b"x-trailer", b"yes")], "more_trailers": False})


async def stream(call):
    await call.start()
    for _ in range(call.number("chunks", 10)):
        await call.chunk(b"x" * call.number("bytes", 1024))
        await asyncio.sleep(call.number("ms", 0) / 1000)
    await call.chunk(b"", more=False)


async def sleep(call):
    await asyncio.sleep(call.number("ms", 0) / 1000)
    await call.answer("slept")


async def burn(call):
    end = time.monotonic() + call.number("ms", 0) / 1000
    while time.monotonic() < end:
        pass
    await call.answer("burned")


async def trap(call):
    os.abort()


async def throw(call):
    outer()


def outer():
    inner()


def inner():
    raise RuntimeError("thrown on purpose")


async def env(call):
    await call.answer(json.dumps(dict(os.environ)))


async def status(call):
    await call.answer(call.query.get("body", ""), call.number("code", 200))


async def fail(call):
    pass


async def out(call):
    try:
        status, body = await fetch(call.query.get("url", ""), 200)
    except Err as error:
        await call.answer(error.value, 502)
        return
    await call.start()
    await call.chunk(f"status {status}\n".encode())
    await call.chunk(body, more=False)


async def fetch(url, size):
    """The status, and the first `size` bytes of the body."""
    parts = urlsplit(url)
    no_trailers, trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))
    request, sent = Request.new(Fields(), None, trailers, None)
    request.set_scheme(Scheme_Https() if parts.scheme == "https" else Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    with sent, no_trailers:
        response = await client.send(request)
    status = response.get_status_code()
    received, result = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))
    body, trailers = Response.consume_body(response, result)
    content = b""
    with received, body, trailers:
        while len(content) < size and not body.writer_dropped:
            content += await body.read(size - len(content))
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
