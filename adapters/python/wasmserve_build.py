"""What has to happen at build: a component's Python has no files, so nothing can be imported once it runs."""

import gc
import importlib.util
import linecache
import pkgutil
import re
import sys
import types

# componentize-py has the folders of --python-path under such names.
OF_APP = re.compile(r"/\d+/")
INDENTED_IMPORT = re.compile(r"\s+(?:from ([.\w]+) import |import ([.\w]+))")
# For programmers at a terminal.
NEVER = "pdb", "unittest", "pytest", "doctest", "IPython", "tkinter", "rich", "trio", "uvloop"
# What Python itself imports when it is first used, out of C or by name.
LATE = "_strptime", "encodings.idna", "encodings.latin_1", "encodings.ascii", "unicodedata", "traceback", "ast"


def prepare():
    """To be called at the end of the import of the app."""
    sys.stdout.reconfigure(line_buffering=True)
    for name in LATE:
        try_import(name)
    import_what_functions_import()
    keep_sources()
    # What is here now stays: the collector shall not write to it, so that the instances go on sharing its memory.
    gc.collect()
    gc.freeze()


def try_import(name):
    try:
        importlib.import_module(name)
    except Exception:
        pass  # as it would fail later


def import_what_functions_import():
    """An import in a function would fail once the function is called."""
    seen = set()
    while True:
        modules = [module for module in list(sys.modules.values()) if source_of(module) and module not in seen]
        if not modules:
            return
        for module in modules:
            seen.add(module)
            with open(source_of(module), encoding="utf-8") as file:
                for line in file:
                    if found := INDENTED_IMPORT.match(line):
                        import_as(module, found[1] or found[2])


def source_of(module):
    """The file, if it is of the app or the packages it uses: not Python's own nor componentize-py's."""
    path = getattr(module, "__file__", None) or ""
    return path if path.endswith(".py") and OF_APP.match(path) else None


def import_as(module, name):
    try:
        name = importlib.util.resolve_name(name, module.__package__)
    except ImportError:
        return
    if name.partition(".")[0] not in NEVER:
        try_import(name)


def keep_sources():
    """So that a traceback shows the app's lines."""
    for module in list(sys.modules.values()):
        path = source_of(module) or ""
        if path.startswith("/0/"):
            lines = linecache.getlines(path)
            linecache.cache[path] = (sum(map(len, lines)), None, lines, path)


def prepare_anyio():
    """anyio, which Starlette stands on, imports its parts when they are first used, and cannot do without `ssl`."""
    stand_in = types.ModuleType("ssl")
    stand_in.__getattr__ = lambda name: type(name, (Exception,), {})
    sys.modules["ssl"] = stand_in
    try:
        import anyio.to_thread

        for module in pkgutil.walk_packages(anyio.__path__, "anyio."):
            if "pytest" not in module.name and "trio" not in module.name:
                try_import(module.name)
    finally:
        del sys.modules["ssl"]

    async def run_sync(function, *args, abandon_on_cancel=False, cancellable=None, limiter=None):
        """There are no threads: it is run at once, and everything else waits."""
        return function(*args)

    anyio.to_thread.run_sync = run_sync


# The app's import comes after this, and may be what uses it.
if importlib.util.find_spec("anyio"):
    prepare_anyio()
