"""A program that an agent runs: says what it was given, and calls another service. `fail` ends it by an exception."""

from __future__ import annotations

import json
import logging
import os
import sys

import httpx

NAMES = ("TRACEPARENT", "TRACESTATE", "BAGGAGE", "OWN")


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("tool").info("tool %s", sys.argv[1])
    answer = httpx.get(f"{os.environ['PEER']}/headers").json()
    told = {"env": {name: os.environ.get(name) for name in NAMES}, "called": answer["traceparent"]}
    sys.stdout.write(json.dumps(told) + "\n")
    if "fail" in sys.argv:
        raise ValueError("no such document")


main()
