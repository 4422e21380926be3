"""Not an application to compare: it does everything differently where it is traced, for the harness to notice."""

# /// equality
# command = ["python", "differs.py", "{port}", "{out}"]
# requests = ["GET /"]
# spans = 1
#
# [cases.answers]
# [cases.vanishes]
# env = {VANISHES = "1"}
# ///

import http.server
import logging
import os
import pathlib
import signal
import sys
import threading
import time

traced = "OTEL_PYTHON_DISTRO" in os.environ
if traced and "VANISHES" in os.environ:
    sys.exit(1)
logging.basicConfig(level=logging.INFO, stream=sys.stdout)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"traced" if traced else b"plain!")
        logging.info("served %s", traced)


def end(*_: object) -> None:
    os._exit(3 if traced else 0)


signal.signal(signal.SIGTERM, end)
print("traced" if traced else "plain")
pathlib.Path(sys.argv[2], "traced" if traced else "plain").touch()
kept = []
if traced:
    kept.append(os.memfd_create("leak"))
    for _ in range(6):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    until = time.process_time() + 1.5
    while time.process_time() < until:
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
