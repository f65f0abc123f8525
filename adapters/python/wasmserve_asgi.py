"""Serves an ASGI 3.0 app as a component of WASI 0.3:

    from main import app
    import wasmserve_asgi

    Handler, LifespanAsync = wasmserve_asgi.serve(app)
"""

import asyncio
import contextlib
import sys
import traceback
from urllib.parse import unquote

import componentize_py_async_support as support
import wasmserve_build
import wit_world
from componentize_py_types import Err, Ok
from wasmserve_loop import loop
from wit_world import (
    byte_stream,
    exports,
    result_option_wasi_http_types_fields_wasi_http_types_error_code_future as trailers_future,
    result_unit_wasi_http_types_error_code_future as received_future,
)
from wit_world.imports.wasi_http_types import (
    ErrorCode_InternalError,
    Fields,
    Method_Other,
    Request,
    Response,
    Scheme_Http,
    Scheme_Https,
)

VERSIONS = {"version": "3.0", "spec_version": "2.4"}
READ_SIZE = 65536
WITHOUT_BODY = 204, 304


def serve(app, root_path=""):
    """The classes that the world exports. `root_path` is where the app is mounted, if a proxy does so."""
    state = {}
    lifespan = Lifespan(app, state)

    class Handler(exports.Handler):
        async def handle(self, request):
            exchange = Exchange(app, request, root_path, state)
            support.spawn(exchange.run())
            return await exchange.started

    class LifespanAsync(exports.LifespanAsync):
        async def startup(self):
            await lifespan.startup()

        async def shutdown(self):
            await lifespan.shutdown()
            await loop.shutdown()

    wasmserve_build.prepare()
    return Handler, LifespanAsync


class Exchange:
    """A request and its response."""

    def __init__(self, app, request, root_path, state):
        self.app = app
        self.request = request
        self.scope = scope_of(request, root_path, state)
        self.started = loop.create_future()  # the response, once its head is known
        self.body = None  # of the request
        self.reading = None
        self.head = None
        self.has_trailers = False
        self.trailers = []
        self.trailers_writer = None
        self.writer = None
        self.responded = False  # as a whole
        self.disconnected = False
        self.over = None  # is awaited by a `receive` that waits for the end

    async def run(self):
        try:
            await self.app(self.scope, self.receive, self.send)
            if not self.responded and not self.disconnected:
                raise RuntimeError("the app ended without a complete response")
        except BaseException as error:
            # What a client that has gone brings about in the app is no news.
            if not (self.disconnected and isinstance(error, OSError)):
                traceback.print_exc()
                await self.fail()
        finally:
            self.end()

    async def fail(self):
        if not self.started.done():
            self.head = (500, [("content-type", b"text/plain; charset=utf-8")])
            self.has_trailers = False
            with contextlib.suppress(OSError):
                await self.respond(b"Internal Server Error", False)
        elif self.trailers_writer:
            # The response cannot be taken back, but that it is incomplete is told.
            self.writer.__exit__(None, None, None)
            await self.trailers_writer.write(Err(ErrorCode_InternalError(None)))

    def end(self):
        self.responded = True
        if self.over and not self.over.done():
            self.over.set_result(None)
        if self.body and not self.reading:
            self.body.__exit__(None, None, None)
        if self.body is None:
            self.request.__exit__(None, None, None)

    # What the app calls

    async def receive(self):
        if self.responded or self.disconnected:
            return {"type": "http.disconnect"}
        if self.body is None:
            accepted, result = received_future(lambda: Ok(None))
            self.body, self.request_trailers = Request.consume_body(self.request, result)
            accepted.__exit__(None, None, None)
        elif self.body.writer_dropped:
            if self.over is None:
                self.over = loop.create_future()
            await asyncio.shield(self.over)
            return {"type": "http.disconnect"}
        # A read that is cancelled would lose what it reads.
        if self.reading is None:
            self.reading = loop.create_task(self.body.read(READ_SIZE))
        chunk = await asyncio.shield(self.reading)
        self.reading = None
        if self.body.writer_dropped and isinstance(await self.request_trailers.read(), Err):
            self.disconnected = True
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": not self.body.writer_dropped}

    async def send(self, message):
        kind = message["type"]
        if self.disconnected:
            raise OSError("the client has gone")
        if kind == "http.response.start" and self.head is None:
            headers = [(name.decode("latin-1"), value) for name, value in message.get("headers", ())]
            self.head = (message["status"], headers)
            self.has_trailers = message.get("trailers", False)
        elif kind == "http.response.body" and self.head and not self.responded:
            body, more = message.get("body", b""), message.get("more_body", False)
            if self.started.done():
                await self.write(body, more)
            else:
                await self.respond(body, more)
        elif kind == "http.response.trailers" and self.has_trailers and self.started.done():
            self.trailers += [(name.decode("latin-1"), value) for name, value in message.get("headers", ())]
            if not message.get("more_trailers", False):
                await self.write_trailers()
        else:
            raise RuntimeError(f"{kind} was sent when it could not be, or is unknown")

    async def respond(self, body, more):
        """Sends the head and the first part of the body."""
        status, headers = self.head
        streamed = more or self.has_trailers
        if not streamed and status not in WITHOUT_BODY and not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("content-length", str(len(body)).encode()))
        self.without_body = self.scope["method"] == "HEAD" or status in WITHOUT_BODY
        contents = None
        if streamed or (body and not self.without_body):
            self.writer, contents = byte_stream()
        trailers_writer, trailers = trailers_future(lambda: Ok(None))
        try:
            response, sent = Response.new(Fields.from_list(headers), contents, trailers)
            response.set_status_code(status)
        except Err as error:
            raise ValueError(f"a response with status {status} and headers {headers} cannot be sent: {error.value}")
        sent.__exit__(None, None, None)
        if streamed:
            self.trailers_writer = trailers_writer
        else:
            trailers_writer.__exit__(None, None, None)
        self.started.set_result(response)
        if contents:
            await self.write(body, more)
        else:
            self.responded = True

    async def write(self, body, more):
        if body and not self.without_body:
            await self.writer.write_all(bytes(body))
            if self.writer.reader_dropped:
                self.disconnected = True
                raise OSError("the client has gone")
        if not more:
            self.writer.__exit__(None, None, None)
            if not self.has_trailers:
                await self.write_trailers()

    async def write_trailers(self):
        self.responded = True
        if self.trailers_writer:
            writer, self.trailers_writer = self.trailers_writer, None
            await writer.write(Ok(Fields.from_list(self.trailers) if self.trailers else None))


def scope_of(request, root_path, state):
    method = request.get_method()
    scheme = request.get_scheme()
    authority = request.get_authority() or "localhost"
    path, _, query = (request.get_path_with_query() or "/").partition("?")
    with request.get_headers() as fields:
        headers = [(name.lower().encode("latin-1"), value) for name, value in fields.copy_all()]
    if not any(name == b"host" for name, _ in headers):
        headers.insert(0, (b"host", authority.encode("latin-1")))
    scheme = {Scheme_Http: "http", Scheme_Https: "https", type(None): "http"}.get(type(scheme)) or scheme.value
    host, colon, port = authority.rpartition(":")
    if not (colon and port.isdigit()):
        host, port = authority, 443 if scheme == "https" else 80
    return {
        "type": "http",
        "asgi": VERSIONS,
        "http_version": "1.1",  # a component is not told
        "method": method.value if type(method) is Method_Other else type(method).__name__[7:].upper(),
        "scheme": scheme,
        "path": root_path + unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": root_path,
        "headers": headers,
        "server": (host, int(port)),
        "client": None,  # a component is not told
        "state": state.copy(),
        "extensions": {"http.response.trailers": {}},
    }


class Lifespan:
    """Runs the app's lifespan: one call of it, from startup to shutdown."""

    def __init__(self, app, state):
        self.app = app
        self.scope = {"type": "lifespan", "asgi": VERSIONS, "state": state}
        self.task = None
        self.started = False

    async def startup(self):
        self.events = asyncio.Queue()
        self.answer = loop.create_future()
        self.task = loop.create_task(self.run())
        failure = await self.tell("lifespan.startup")
        if failure is not None:
            raise Err(failure)

    async def shutdown(self):
        if self.task and not self.task.done():
            failure = await self.tell("lifespan.shutdown")
            if failure is not None:
                print("shutdown failed:", failure, file=sys.stderr)

    async def tell(self, event):
        """What went wrong, or None."""
        self.answer = loop.create_future()
        self.events.put_nowait({"type": event})
        return await self.answer

    async def run(self):
        try:
            await self.app(self.scope, self.events.get, self.send)
        except Exception as error:
            if self.started:
                traceback.print_exc()
            else:
                # An app need not know of lifespans: it may fail at the unknown type of scope.
                print(f"the app takes no lifespan events: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            if not self.answer.done():
                self.answer.set_result(None)

    async def send(self, message):
        kind = message["type"]
        if kind in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            self.started = True
            self.answer.set_result(None)
        elif kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            self.answer.set_result(message.get("message", "") or "the app gave no reason")
        else:
            raise RuntimeError(f"{kind} is no answer to a lifespan event")
