# What componentize-py builds: `app` of main.py, a WSGI app, as a component.
import wasmserve_wsgi
from main import app, shutdown, startup

IncomingHandler, Lifespan = wasmserve_wsgi.serve(app, startup, shutdown)
