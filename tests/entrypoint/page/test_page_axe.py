"""What axe-core says of each view: nothing. It comes from npm when the tests run."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import made_up
import pytest

from conftest import NARROW, WIDE, go

if TYPE_CHECKING:
    from page_server import PageServer

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PATHS = {
    1280: [
        "/",
        "/trace/{id}",
        "/trace/{id}?tab=sequence",
        "/trace/{id}?tab=json",
        "/services",
        "/compare/{id}",
        "/live",
    ],
    390: ["/", "/trace/{id}", "/compare", "/live"],
}


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("npm") is None:
        pytest.skip("axe-core: npm is not installed")
    place = tmp_path_factory.mktemp("axe")
    packed = subprocess.run(
        ["npm", "pack", "--silent", "axe-core@4"], cwd=place, check=False, capture_output=True, timeout=60
    )
    found = sorted(place.glob("axe-core-*.tgz"))
    if not found:
        pytest.skip(f"axe-core could not be fetched: {packed.stderr.decode(errors='replace').strip()[-200:]}")
    with tarfile.open(found[0]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_axe_finds_nothing(chromium: Any, axe: str, server: PageServer, size: dict[str, int]) -> None:
    traces = made_up.an_hour()[-9:]
    server.add(*traces)
    failing = next(
        one["trace_id"] for one in reversed(traces) if any(span["status"] == "ERROR" for span in one["spans"])
    )
    # The policy forbids what is put in from outside; it has a test of its own.
    context = chromium.new_context(viewport=size, bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    found = []
    for path in PATHS[size["width"]]:
        go(page, server.address + path.format(id=failing))
        page.wait_for_selector(
            ":is(.trace-row, .wf-row, .seq, pre.json, .graph, .cmp-row:not(.head), .choice, .live-list) >> visible=true"
        )
        if path == "/":
            page.wait_for_selector(".endpoints li", state="attached")
        if path == "/live":
            page.wait_for_selector(".connection.connected")
            server.put(traces[-2])
            page.wait_for_selector(".live-row")
        page.evaluate(axe)
        # A dark page is the same one in other colours.
        for theme, run_only in (("light", RULES), ("dark", {"type": "rule", "values": ["color-contrast"]})):
            page.emulate_media(color_scheme=theme)
            result = page.evaluate("only => axe.run(document, {runOnly: only, resultTypes: ['violations']})", run_only)
            found += [
                (path, theme, one["id"], node["html"][:160], node["failureSummary"][:300])
                for one in result["violations"]
                for node in one["nodes"][:3]
            ]
    context.close()
    assert found == []
