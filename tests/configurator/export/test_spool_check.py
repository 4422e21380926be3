"""Whether a spool can be kept in a directory: asked at start and by the doctor, with nothing left behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tracebaton_configurator.export import spool_check
from tracebaton_configurator.export.spool_check import why_unusable


def test_one_that_is_there_and_one_to_be_made(tmp_path: Path) -> None:
    assert why_unusable(str(tmp_path)) is None
    assert why_unusable(str(tmp_path / "to" / "be" / "made")) is None
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert why_unusable("spool") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    for name in ("file", "fifo"):
        assert why_unusable(str(tmp_path / name)) == f"{tmp_path / name} is not a directory"
        assert why_unusable(str(tmp_path / name / "below")) == f"{tmp_path / name} is not a directory"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a directory that root may not write either")
def test_one_that_cannot_be_written() -> None:
    assert why_unusable("/proc/spool") == os.strerror(2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_one_that_others_could_exchange(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    foreign.chmod(0o777)
    os.chown(foreign, 65534, 65534)
    assert "belongs to user 65534, and everybody may write there" in (why_unusable(str(foreign)) or "")


def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    monkeypatch.setattr(spool_check, "_SECONDS", 0.05)
    monkeypatch.setattr(spool_check, "_try_in", lambda _: hung.wait(30))
    assert why_unusable(str(tmp_path)) == "it does not answer within 0.05 s"
    hung.set()
