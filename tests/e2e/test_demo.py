"""`make demo` checks what it claims, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_every_claim_holds(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, root / "docker/demo/drive.py"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.partition("Summary")[2]
    assert "one trace id across the hops" in summary
    assert " no\n" not in summary
    saved = root / ".demo" / "failing-chat.html"
    assert saved.as_uri() in done.stdout
    assert "no answer to 'please fail'" in saved.read_text()


def test_the_program_knows_nothing_of_tracing(root: Path) -> None:
    found = subprocess.run(
        ["git", "grep", "-n", "-i", "opentelemetry", "--", "docker/demo/*.py"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    assert found.stdout == b""
