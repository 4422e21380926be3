"""What an application sees of the Python it runs in."""

# /// equality
# command = ["python", "what_it_sees.py", "an", "argument"]
#
# [cases.script]
# [cases.module]
# command = ["python", "-m", "what_it_sees", "an", "argument"]
# [cases.code]
# command = ["python", "-c", "import what_it_sees", "an", "argument"]
# [cases.options]
# command = ["python", "-W", "ignore", "-O", "-u", "-B", "-X", "utf8", "what_it_sees.py"]
# [cases.isolated]
# command = ["python", "-I", "what_it_sees.py"]
# [cases.own-path]
# command = ["python", "what_it_sees.py"]
# env = {PYTHONPATH = "/opt/one:{here}/shadowed/elsewhere", PYTHONUTF8 = "1"}
# [cases.uvicorn]
# command = ["uvicorn", "what_it_sees:app", "--port", "{port}"]
# requests = ["GET /"]
# spans = 0
# [cases.uvicorn-workers]
# command = ["uvicorn", "what_it_sees:app", "--port", "{port}", "--workers", "2"]
# requests = ["GET /"]
# spans = 0
# [cases.gunicorn]
# command = ["gunicorn", "-k", "uvicorn_worker.UvicornWorker", "-b", "127.0.0.1:{port}", "what_it_sees:app"]
# requests = ["GET /"]
# spans = 0
# ///

import builtins
import gc
import locale
import os
import signal
import sys
import threading
import warnings

SAID = f"""\
path {sys.path}
argv {sys.argv} {sys.orig_argv}
flags {sys.flags}
executable {sys.executable} {sys.prefix}
hooks {sys.excepthook.__name__} {sys.unraisablehook.__name__} {threading.excepthook.__name__} {sys.displayhook.__name__}
trace {sys.gettrace()} {sys.getprofile()} {sys.getrecursionlimit()} {sys.getswitchinterval()} {gc.isenabled()} {gc.get_threshold()}
warnings {warnings.filters}
builtins {sorted(vars(builtins))}
signals {[signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)]}
locale {locale.getlocale()} {sys.stdout.encoding} {sys.stdout.errors} {os.umask(0o22)}
working directory {os.getcwd()}
main {sys.modules["__main__"].__doc__} {sorted(vars(sys.modules["__main__"]))}
"""
ENVIRONMENT = "".join(
    f"env {name}={value}\n" for name, value in sorted(os.environ.items()) if name not in {"_", "SHLVL"}
)
print(SAID + ENVIRONMENT, end="", flush=True)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
