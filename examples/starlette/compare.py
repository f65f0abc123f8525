"""Compares wasmserve with uvicorn, four workers each: python3 compare.py WASMSERVE UVICORN (the two executables)."""

import glob
import http.client
import re
import statistics
import subprocess
import sys
import time

PORT = 8123
URL = f"http://127.0.0.1:{PORT}/"


def main(wasmserve, uvicorn):
    options = ["--workers", "4", "--port", str(PORT), "--no-access-log"]
    for command in [wasmserve, "starlette.wasm", *options], [uvicorn, "main:app", *options]:
        stop(start(command))  # wasmserve compiles; Python writes its caches
        starts = [start_and_stop(command) for _ in range(7)]
        server = start(command)
        time.sleep(2)
        print(command[0], "with 4 workers")
        print(f"  start to first byte  {statistics.median(starts) * 1000:.0f} ms (best {min(starts) * 1000:.0f})")
        print(f"  memory, idle         {memory(server.pid):.0f} MiB")
        load = subprocess.run(["wrk", "-t1", "-c32", "-d10", URL], capture_output=True, text=True).stdout
        print(f"  requests/s           {re.search(r'Requests/sec: *([0-9.]+)', load)[1]}")
        print(f"  memory, after that   {memory(server.pid):.0f} MiB")
        stop(server)


def start(command):
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/")
            connection.getresponse()
            return server
        except OSError:
            time.sleep(0.001)
    sys.exit(f"{command[0]} ended with {server.returncode}")


def stop(server):
    server.terminate()
    server.wait()


def start_and_stop(command):
    began = time.monotonic()
    server = start(command)
    took = time.monotonic() - began
    stop(server)
    return took


def memory(pid):
    """The proportional memory of a process and all below it."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        own = int(re.search(r"^Pss: *(\d+)", file.read(), re.MULTILINE)[1]) / 1024
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as file:
            own += sum(memory(child) for child in file.read().split())
    return own


main(*sys.argv[1:])
