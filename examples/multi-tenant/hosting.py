"""A server of its own for `isolation`: started with a copy of this folder, asked, and looked at from outside."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COPIED = ["wasmserve.toml", "journal.wasm", "down.html", "data", "later", "public", "tenants"]
PATIENCE = 60


def give_up(why):
    print(f"isolation: {why}", file=sys.stderr)
    sys.exit(2)


def executable():
    newest = [ROOT / "target" / kind / "wasmserve" for kind in ("release", "debug")]
    newest = sorted((path for path in newest if path.exists()), key=lambda path: path.stat().st_mtime)
    found = os.environ.get("WASMSERVE_BIN") or (str(newest[-1]) if newest else shutil.which("wasmserve"))
    return os.path.abspath(found) if found else give_up("there is no wasmserve: cargo build --release")


def build():
    """The one tenant that is not in the repository as a component already."""
    if (HERE / "journal.wasm").exists():
        return
    print("isolation: building journal.wasm (npm install && npm run build)", file=sys.stderr)
    built = subprocess.run("npm install && npm run build", shell=True, cwd=HERE, stdout=subprocess.DEVNULL)
    if built.returncode != 0:
        give_up("journal.wasm cannot be built, which needs Node.js 20 or newer with npm")


def eventually(what, look):
    """What `look` gives once that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.header = response.headers
        self.text = response.read().decode(errors="replace").strip()
        self.closes = response.will_close


class Server:
    """`wasmserve --config` with free ports, and secrets that are in no file of the repository."""

    def __init__(self, partner, secret):
        self.wasmserve = executable()
        self.top = Path(tempfile.mkdtemp(prefix="tenants-"))
        self.folder = self.top / "examples" / HERE.name
        self.folder.mkdir(parents=True)
        for path in (HERE / name for name in COPIED):
            if path.is_dir():
                # Links stay links: mallory's folder may have some that lead anywhere.
                shutil.copytree(path, self.folder / path.name, symlinks=True)
            else:
                shutil.copy(path, self.folder)
        (self.top / "guests").symlink_to(ROOT / "guests")
        (self.folder / "data" / "shop.key").write_text(secret)
        self._replace("wasmserve.toml", "127.0.0.1:8080", "127.0.0.1:0")
        self._replace("tenants/quotes.toml", "127.0.0.1:8081", f"127.0.0.1:{partner}")
        self.log = self.top / "log"
        (self.top / "run").mkdir()
        self.cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasmserve"
        # Nothing of the caller's WASMSERVE_…; and no other server's control socket.
        folders = {"XDG_CACHE_HOME": str(self.cache.parent), "XDG_RUNTIME_DIR": str(self.top / "run")}
        self.environment = {"PATH": os.environ["PATH"], **folders}
        command = [self.wasmserve, "--config", str(self.folder / "wasmserve.toml")]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stderr=log)
        self.pid = self.process.pid
        address = eventually("the server is ready", self._address)
        self.port = int(address.rsplit(":", 1)[1])

    def _replace(self, file, old, new):
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{file} has no {old}"
        path.write_text(text.replace(old, new))

    def _address(self):
        if self.process.poll() is not None:
            give_up(f"the server ended with {self.process.returncode}:\n{self.log.read_text()}")
        told = self._control("status", "--json")
        status = json.loads(told.stdout) if told.returncode == 0 else {}
        return status["addresses"][0] if status.get("state") == "ready" else None

    def _control(self, *words):
        return subprocess.run([self.wasmserve, *words], env=self.environment, capture_output=True, text=True)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, tenant, path="/hello", connection=None, **more):
        """An answer; of a tenant at its host below localhost, and of any other host by its whole name."""
        host = tenant if "." in tenant or tenant == "localhost" else f"{tenant}.localhost"
        connection = connection or self.connect()
        connection.request(more.pop("method", "GET"), path, headers={"Host": host}, **more)
        return Answer(connection.getresponse())

    def say(self, *words):
        told = self._control(*words)
        assert told.returncode == 0, f"wasmserve {words[0]}: {told.stderr.strip()}"
        return told.stdout

    def app(self, name):
        apps = json.loads(self.say("status", "--json"))["apps"]
        return next((app for app in apps if app["name"] == name), {"state": "gone", "why": "", "pid": None})

    def add(self, name):
        shutil.copy(self.folder / "later" / f"{name}.toml", self.folder / "tenants")
        self.say("reload")

    def records(self):
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass

    def stop(self):
        """Ends it as an operator would; gives what is left of it then."""
        all_of_it = processes(self.pid)
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        return code, [pid for pid in all_of_it if is_running(pid)]

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.top, ignore_errors=True)


class Load:
    """Clients that ask tenants again and again until the end of the block."""

    def __init__(self, server, requests):
        self.server, self.over = server, threading.Event()
        self.times, self.failures, self.reopened = [], [], 0
        self.threads = [threading.Thread(target=self._ask, args=request) for request in requests]

    def _ask(self, tenant, path):
        connection, is_kept = self.server.connect(), False
        while not self.over.is_set():
            began = time.monotonic()
            try:
                try:
                    answer = self.server.ask(tenant, path, connection)
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    # As any client does when a connection that it kept was closed just as it asked again.
                    if not is_kept:
                        raise
                    connection.close()
                    self.reopened += 1
                    answer = self.server.ask(tenant, path, connection)
                if answer.status != 200:
                    self.failures.append(f"{tenant}: {answer.status}")
                is_kept = not answer.closes
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{tenant}: {error!r}")
                connection.close()
                is_kept = False
            self.times.append(time.monotonic() - began)
            time.sleep(0.002)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def seen(self):
        assert self.times, "nobody was asked"
        assert not self.failures, f"{len(self.failures)} of {len(self.times)} failed: {self.failures[:3]}"
        reopened = f", {self.reopened} connections opened again" if self.reopened else ""
        return f"{len(self.times)} of {len(self.times)} answered, slowest {max(self.times) * 1000:.0f} ms{reopened}"


class Listener:
    """Somebody on this machine who should not be reached, or may be: it counts who connects, and answers."""

    def __init__(self):
        self.socket, self.connections = socket.create_server(("127.0.0.1", 0)), 0
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.socket.accept()
            self.connections += 1
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nquoted")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def processes(pid):
    """A process and all below it."""
    return [pid] + [below for child in children(pid) for below in processes(child)]


def look(pid, file):
    """A file of /proc/PID, or None: of a worker only root may read some, as workers are closed to their own user."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return None


def sockets(pid):
    try:
        links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    except OSError:
        return set()
    return {link for link in links if link.startswith("socket:")}


def holds(pid, text):
    """Whether the process has this in what it has written to its memory; None if nobody may look."""
    maps = look(pid, "maps")
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except OSError:
        return None
    with memory:
        for line in (maps or b"").decode().splitlines():
            begin, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            begin, end = int(begin, 16), int(end, 16)
            if rights.startswith("rw") and end - begin <= 256 << 20:
                try:
                    memory.seek(begin)
                    if text in memory.read(end - begin):
                        return True
                except (OSError, ValueError):
                    pass
    return False
