"""An app of Starlette. `uvicorn main:app` serves this very file."""

import asyncio
import contextlib

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route


@contextlib.asynccontextmanager
async def lifespan(app):
    print("starlette: startup")
    yield {"visits": {"count": 0}}
    print("starlette: shutdown")


async def hello(request):
    return PlainTextResponse("Hello, world!")


async def visits(request):
    visits = request.state.visits
    visits["count"] += 1
    return JSONResponse(visits)


async def echo(request):
    return StreamingResponse(request.stream(), media_type=request.headers.get("content-type"))


async def countdown(request):
    async def lines():
        for number in range(3, 0, -1):
            yield f"{number}\n"
            await asyncio.sleep(0.2)
        yield "lift-off\n"

    return StreamingResponse(lines(), media_type="text/plain")


async def tell(name):
    await asyncio.sleep(0.1)
    print(f"starlette: told {name}")


async def notify(request):
    name = request.path_params["name"]
    return PlainTextResponse(f"{name} will be told", background=BackgroundTask(tell, name))


async def both(request):
    started = asyncio.get_running_loop().time()
    await asyncio.gather(asyncio.sleep(0.2), asyncio.sleep(0.2))
    return JSONResponse({"seconds": round(asyncio.get_running_loop().time() - started, 1)})


def plain(request):
    return PlainTextResponse("from a function that is not async")


async def failing(request):
    raise ValueError("no answer to this")


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/visits", visits),
        Route("/echo", echo, methods=["POST"]),
        Route("/countdown", countdown),
        Route("/notify/{name}", notify),
        Route("/both", both),
        Route("/plain", plain),
        Route("/failing", failing),
    ],
    lifespan=lifespan,
)
