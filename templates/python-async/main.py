"""{{name}}: an ASGI app. Any ASGI server serves it too: `uvicorn main:app`."""

count = 0


async def app(scope, receive, send):
    global count  # each instance has its own
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/":
        await answer(send, 200, "Hello, world!\n")
    elif scope["path"] == "/count":
        count += 1
        await answer(send, 200, f"{count}\n")
    else:
        await answer(send, 404, "not found\n")


async def lifespan(receive, send):
    await receive()
    print("{{name}}: startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("{{name}}: shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send, status, text):
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
