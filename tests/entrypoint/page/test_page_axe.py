"""What axe-core says of each view: nothing. It comes from npm when the tests run."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import made_up
import pytest
from conftest import NARROW, WIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from page_server import PageServer

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PATHS = ["/", "/trace/{id}", "/trace/{id}?tab=sequence", "/trace/{id}?tab=json", "/services", "/compare/{id}", "/compare", "/live"]


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("npm") is None:
        pytest.skip("axe-core: npm is not installed")
    place = tmp_path_factory.mktemp("axe")
    packed = subprocess.run(["npm", "pack", "--silent", "axe-core@4"], cwd=place, check=False, capture_output=True, timeout=60)
    found = sorted(place.glob("axe-core-*.tgz"))
    if not found:
        pytest.skip(f"axe-core could not be fetched: {packed.stderr.decode(errors='replace').strip()[-200:]}")
    with tarfile.open(found[0]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_axe_finds_nothing(
    chromium: Any, axe: str, server: PageServer, an_hour: list[made_up.Trace], size: dict[str, int], theme: str
) -> None:
    failing = next(one["trace_id"] for one in reversed(an_hour) if any(span["status"] == "ERROR" for span in one["spans"]))
    # The policy forbids what is put in from outside; it has a test of its own.
    context = chromium.new_context(viewport=size, color_scheme=theme, bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    found = []
    for path in PATHS:
        page.goto(server.address + path.format(id=failing))
        page.wait_for_selector(".trace-row, .wf-row, .seq, pre.json, .graph, .cmp-row:not(.head), .choice, .live-list")
        if path == "/":
            page.wait_for_selector(".endpoints li", state="attached")
        if path == "/live":
            page.wait_for_selector(".connection.connected")
            server.put(an_hour[-2])
            page.wait_for_selector(".live-row")
        page.evaluate(axe)
        result = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
        found += [(path, one["id"], node["html"][:160], node["failureSummary"][:300]) for one in result["violations"] for node in one["nodes"][:3]]
    context.close()
    assert found == []
