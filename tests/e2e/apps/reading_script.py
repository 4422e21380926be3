"""Reads an answer without end: python reading_script.py URL"""

import sys

import httpx

with httpx.stream("GET", sys.argv[1], headers={"accept-encoding": "identity"}) as answer:
    for number, _ in enumerate(answer.iter_raw()):
        if number == 5:
            print("reading", flush=True)  # noqa: T201
