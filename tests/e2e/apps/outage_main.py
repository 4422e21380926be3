"""`python outage_main.py PORT`: has a SIGTERM handler before uvicorn has, so that uvicorn raises the signal for it."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from types import FrameType


def leave(number: int, frame: FrameType | None) -> None:
    print("the application's own handler ran", flush=True)  # noqa: T201 (the test looks for it)
    sys.exit(7)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    uvicorn.run("outage_app:app", host="127.0.0.1", port=int(sys.argv[1]))
