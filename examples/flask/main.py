"""An app of Flask. `flask --app main run` or `gunicorn main:app` serve this very file."""

from flask import Flask, Response, jsonify, render_template_string, request

app = Flask(__name__)
visitors = {"count": 0}


def startup():
    print("flask: startup")


def shutdown():
    print("flask: shutdown")


@app.get("/")
def hello():
    return "Hello, world!", {"content-type": "text/plain"}


@app.get("/visits")
def visits():
    visitors["count"] += 1
    return jsonify(visitors)


@app.post("/echo")
def echo():
    body = request.stream
    return Response(iter(lambda: body.read(65536), b""), mimetype=request.mimetype)


@app.get("/countdown")
def countdown():
    return Response((f"{number}\n" for number in range(3, 0, -1)), mimetype="text/plain")


@app.get("/greet/<name>")
def greet(name):
    return render_template_string("<p>Hello, {{ name }}!</p>\n", name=name)


@app.get("/failing")
def failing():
    raise ValueError("no answer to this")
