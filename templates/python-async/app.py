# What componentize-py builds: `app` of main.py, an ASGI app, as a component.
import wasmserve_asgi
from main import app

Handler, LifespanAsync = wasmserve_asgi.serve(app)
