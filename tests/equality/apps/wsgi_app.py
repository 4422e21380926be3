"""WSGI on gunicorn's sync worker: nothing that is instrumented serves it."""

# /// equality
# command = ["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "--access-logfile", "-", "wsgi_app:application"]
# requests = ["GET /", "POST /x abc", "GET /error", "HEAD /"]
# spans = 0
# ///

import logging


def application(environ, start_response):
    if environ["PATH_INFO"] == "/error":
        raise ValueError("as it was meant to")
    logging.getLogger("wsgi").warning("served %s", environ["PATH_INFO"])
    body = environ["wsgi.input"].read() or b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
