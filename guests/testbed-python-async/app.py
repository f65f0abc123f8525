import wasmserve_asgi
from main import app

Handler, LifespanAsync = wasmserve_asgi.serve(app)
