"""`make demo KEEP=1` with its page, and the README's pictures of it, which PICTURES=1 (`make pictures`) keeps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from conftest import go, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_ROOT = Path(__file__).resolve().parents[3]
_LARGEST = 250_000  # bytes of a picture: a README is read over slow connections


@pytest.fixture(scope="module")
def said() -> Iterator[str]:
    """What the demo has printed once it stays up; Ctrl-C ends it, and it says so."""
    command = [sys.executable, "-u", _ROOT / "docker/demo/drive.py", "--keep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        said = ""
        try:
            assert demo.stdout is not None
            while "The page, which stays up: " not in said:
                said += (line := demo.stdout.readline())
                assert line, said
            yield said
        finally:
            demo.send_signal(signal.SIGINT)
            rest = demo.communicate(timeout=60)[0]
    assert (demo.returncode, "stopped; no process and no open port is left" in rest) == (0, True), rest


@pytest.fixture
def page_url(said: str) -> str:
    return re.findall(r"stays up: (http://\S+)", said)[0]


def failed(page_url: str) -> list[dict[str, Any]]:
    return httpx.get(f"{page_url}/api/traces", params={"status": "error"}).json()["traces"]


def test_it_stays_up_with_what_it_has_shown(said: str, page_url: str) -> None:
    assert [trace["root"]["service"] for trace in failed(page_url)] == ["agent-a"]
    assert re.search("failing chat: the page has all its spans and log lines +yes", said)


def test_pictures_of_a_failing_chat(page_of: Callable[..., Any], page_url: str, tmp_path: Path) -> None:
    to = _ROOT / "docs" if os.environ.get("PICTURES") else tmp_path
    (trace,) = failed(page_url)
    page = page_of(f"{page_url}/trace/{trace['trace_id']}", color_scheme="light")
    page.wait_for_selector(".wf-row.is-log")
    assert "no answer to 'please fail'" in page.inner_text(".failed-first")
    page.screenshot(path=to / "trace.png")
    go(page, f"{page_url}/compare/{trace['trace_id']}")
    page.wait_for_selector(".cmp-row.failed")
    until(page, "document.fonts.status === 'loaded'")
    page.screenshot(path=to / "compare.png")
    for name in ("trace.png", "compare.png"):
        picture = (to / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert 20_000 < len(picture) < _LARGEST
