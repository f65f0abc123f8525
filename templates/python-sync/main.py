"""{{name}}: a WSGI app. Any WSGI server serves it too: `gunicorn main:app`."""

count = 0


def startup():
    print("{{name}}: startup")


def shutdown():
    print("{{name}}: shutdown")


def app(environ, start_response):
    global count  # each instance has its own
    path = environ["PATH_INFO"]
    if path == "/":
        return answer(start_response, "200 OK", "Hello, world!\n")
    if path == "/count":
        count += 1
        return answer(start_response, "200 OK", f"{count}\n")
    return answer(start_response, "404 Not Found", "not found\n")


def answer(start_response, status, text):
    start_response(status, [("content-type", "text/plain; charset=utf-8")])
    return [text.encode()]
