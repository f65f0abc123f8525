import wasmserve_wsgi
from main import app, shutdown, startup

IncomingHandler, Lifespan = wasmserve_wsgi.serve(app, startup, shutdown)
