"""`python launch_main.py PORT [WORKERS]`, as many an application starts its own server."""

from __future__ import annotations

import sys

import uvicorn

if __name__ == "__main__":
    port, workers = int(sys.argv[1]), int((sys.argv[2:] or ["1"])[0])
    uvicorn.run("launch_app:app", host="127.0.0.1", port=port, workers=workers)
