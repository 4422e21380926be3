"""A headless Chromium of the distribution for the tests of the page, and a server with made-up traces."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # made_up.py, page_server.py

import made_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from page_server import PageServer

WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}


def until(page: Any, condition: str, argument: Any = None, seconds: float = 10) -> None:
    """Waits until a JavaScript expression, or function of `argument`, is true.

    `wait_for_function` needs `eval`, which the page's policy forbids.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition, argument):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition} ({argument})"
        page.wait_for_timeout(20)


# What a browser says of requests that it gives up because a network interface comes or goes: a container elsewhere.
_NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
_DRAWN = "!document.getElementById('main') || document.getElementById('main').childElementCount > 0"


def go(page: Any, address: str) -> None:
    """Opens an address, once more where a network interface came or went while the page's modules were loaded."""
    for _ in range(10):
        if _opens(page, address):
            return
    pytest.fail(f"{address} stays empty")


def _opens(page: Any, address: str) -> bool:
    try:
        page.goto(address)
    except Exception as error:
        if _NETWORK_CHANGED not in str(error):
            raise
        return False
    return bool(page.evaluate(_DRAWN))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        # In a container there is neither a sandbox for root nor a large /dev/shm.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[PageServer]:
    from page_server import PageServer

    made = PageServer()
    yield made
    made.stop()


@pytest.fixture
def an_hour(server: PageServer) -> list[made_up.Trace]:
    """The server's traces, newest last."""
    traces = made_up.an_hour()
    server.add(*traces)
    return traces


@pytest.fixture
def page_of(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page. What its scripts throw and its policy refuses fails the test at the end, but for what it clears."""
    contexts, pages = [], []

    def open_page(address: str = "about:blank", **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": WIDE, **options})
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and page.wrong.append(message.text))
        contexts.append(context)
        pages.append(page)
        go(page, address)
        return page

    yield open_page
    wrong = [text for page in pages for text in page.wrong if _NETWORK_CHANGED not in text]
    for context in contexts:
        context.close()
    assert wrong == []
