"""Serves a WSGI app (PEP 3333) as a component of WASI 0.2:

    from main import app
    import wasmserve_wsgi

    IncomingHandler, Lifespan = wasmserve_wsgi.serve(app)

WSGI knows nothing of startup and shutdown: functions for them can be given to `serve`. Nor of trailers: what is appended
to `environ["wasmserve.trailers"]`, as (name, value), is sent after the body.
"""

import io
import sys
import traceback
from urllib.parse import unquote_to_bytes

import wasmserve_build
from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import (
    Fields,
    IncomingBody,
    Method_Other,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Https,
)


def serve(app, startup=None, shutdown=None):
    """The classes that the world exports."""

    class IncomingHandler(exports.IncomingHandler):
        def handle(self, request, response_out):
            with request:
                respond(app, request, response_out)

    class Lifespan(exports.Lifespan):
        def startup(self):
            try:
                if startup:
                    startup()
            except Err:
                raise
            except Exception as error:
                traceback.print_exc()
                raise Err(f"{type(error).__name__}: {error}")

        def shutdown(self):
            if shutdown:
                shutdown()

    wasmserve_build.prepare()
    return IncomingHandler, Lifespan


def respond(app, request, response_out):
    body = request.consume()
    source = body.stream()
    environ = environ_of(request, io.BufferedReader(Input(source)))
    answer = Answer(response_out)
    environ["wasmserve.trailers"] = answer.trailers
    chunks = None
    try:
        chunks = app(environ, answer.start_response)
        if isinstance(chunks, (list, tuple)) and len(chunks) == 1:
            answer.know_length(len(chunks[0]))
        for chunk in chunks:
            if chunk:
                answer.write(chunk)
        answer.begin()
        answer.end()
    except ClientGone:
        answer.drop()
    except BaseException:
        traceback.print_exc()
        answer.fail()
    finally:
        if hasattr(chunks, "close"):
            close(chunks)
        source.__exit__(None, None, None)
        IncomingBody.finish(body).__exit__(None, None, None)


def close(chunks):
    try:
        chunks.close()
    except BaseException:
        traceback.print_exc()


class ClientGone(OSError):
    pass


class Input(io.RawIOBase):
    """The request's body, under the buffer that is `wsgi.input`."""

    def __init__(self, source):
        self.source = source

    def readable(self):
        return True

    def readinto(self, buffer):
        try:
            chunk = b""
            while not chunk:
                chunk = self.source.blocking_read(len(buffer))
        except Err as error:
            if isinstance(error.value, StreamError_Closed):
                return 0
            raise ClientGone("the request's body ended early") from None
        buffer[: len(chunk)] = chunk
        return len(chunk)


class Answer:
    """The response, as it is written."""

    def __init__(self, response_out):
        self.response_out = response_out
        self.head = None
        self.body = None  # once the head is sent
        self.trailers = []

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self.body:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no circle of references
        elif self.head:
            raise AssertionError("start_response was called twice")
        self.head = (int(status[:3]), list(headers))
        return self.write

    def know_length(self, length):
        if self.head is None or self.body or self.trailers or self.head[0] in (204, 304):
            return
        if not any(name.lower() == "content-length" for name, _ in self.head[1]):
            self.head[1].append(("content-length", str(length)))

    def begin(self):
        """Sends the head, if that has not been done."""
        if self.body:
            return
        if self.head is None:
            raise AssertionError("the app did not call start_response")
        status, headers = self.head
        try:
            fields = Fields.from_list([(name, value.encode("latin-1")) for name, value in headers])
            response = OutgoingResponse(fields)
            response.set_status_code(status)
        except Err as error:
            raise ValueError(f"a response with status {status} and headers {headers} cannot be sent: {error.value}")
        self.body = response.body()
        ResponseOutparam.set(self.response_out, Ok(response))
        self.stream = self.body.write()

    def write(self, chunk):
        self.begin()
        try:
            rest = memoryview(chunk)
            while rest:
                room = self.stream.check_write()
                if room == 0:
                    with self.stream.subscribe() as writable:
                        writable.block()
                    continue
                self.stream.write(bytes(rest[:room]))
                rest = rest[room:]
        except Err:
            raise ClientGone("the client has gone") from None
        try:
            self.stream.flush()
        except Err:
            pass  # closed: by the client, which the next write tells, or because this was all that was announced

    def end(self):
        try:
            self.stream.blocking_flush()
        except Err:
            pass
        self.stream.__exit__(None, None, None)
        try:
            trailers = [(name, value.encode("latin-1")) for name, value in self.trailers]
            OutgoingBody.finish(self.body, Fields.from_list(trailers) if trailers else None)
        except Err as error:
            print(f"the response was incomplete: {error.value}", file=sys.stderr)

    def fail(self):
        if self.body is None:
            text = b"Internal Server Error"
            self.head = (500, [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(text)))])
            try:
                self.write(text)
                self.end()
                return
            except ClientGone:
                pass
        self.drop()

    def drop(self):
        """Ends the connection, as the body is not finished: nobody takes it for complete."""
        if self.body:
            self.stream.__exit__(None, None, None)
            self.body.__exit__(None, None, None)


def environ_of(request, body):
    method = request.method()
    https = isinstance(request.scheme(), Scheme_Https)
    authority = request.authority() or "localhost"
    path, _, query = (request.path_with_query() or "/").partition("?")
    host, colon, port = authority.rpartition(":")
    if not (colon and port.isdigit()):
        host, port = authority, "443" if https else "80"
    environ = {
        "REQUEST_METHOD": method.value if type(method) is Method_Other else type(method).__name__[7:].upper(),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",  # a component is not told
        "HTTP_HOST": authority,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if https else "http",
        "wsgi.input": body,
        "wsgi.input_terminated": True,  # reading ends at the body's end, whatever its length
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    with request.headers() as fields:
        for name, value in fields.entries():
            name = name.upper().replace("-", "_")
            if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                name = "HTTP_" + name
            value = value.decode("latin-1")
            if name in environ and name != "HTTP_HOST":
                separator = "; " if name == "HTTP_COOKIE" else ","
                value = environ[name] + separator + value
            environ[name] = value
    return environ
