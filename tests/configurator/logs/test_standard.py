"""Only what is, or was, the process's stdout or stderr becomes JSON. Each case in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

START = """
import contextlib, io, logging, os, sys, tempfile
from tracebaton_configurator.logs import hook
hook.install({mode!r}, "shop")
log = logging.Logger("app")
def to(handler, text="%(levelname)s %(message)s"):
    handler.setFormatter(logging.Formatter(text))
    log.handlers = [handler]
"""


def run(script: str, directory: Path, mode: str = "json", **options: Any) -> str:
    code = START.format(mode=mode) + script
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, check=True, stdout=subprocess.PIPE, text=True, **options
    )
    assert isinstance(done.stdout, str)
    return done.stdout


STANDARD = {
    "stdout": "to(logging.StreamHandler(sys.stdout)); log.info('x')",
    "a wrapper of it": (
        "import codecs; to(logging.StreamHandler(codecs.getwriter('utf-8')(sys.stdout.buffer))); log.info('x')"
    ),
    "its path": "to(logging.FileHandler('/dev/stdout')); log.info('x')",
    "a duplicate": "to(logging.StreamHandler(os.fdopen(os.dup(1), 'w'))); log.info('x')",
    "what it was": "f = os.fdopen(os.dup(1), 'w'); os.dup2(2, 1); to(logging.StreamHandler(f)); log.info('x')",
    "what it is now": (
        "f = os.dup(1); out = open('new', 'w'); os.dup2(out.fileno(), 1); to(logging.StreamHandler(sys.stdout));"
        "log.info('x'); os.write(f, open('new', 'rb').read())"
    ),
}
OTHERS = {
    "text in memory": "s = io.StringIO(); to(logging.StreamHandler(s)); log.info('x'); print(s.getvalue(), end='')",
    "redirected output": (
        "s = io.StringIO()\nwith contextlib.redirect_stdout(s):\n"
        "    to(logging.StreamHandler(sys.stdout)); log.info('x')\nprint(s.getvalue(), end='')"
    ),
    "a file": "to(logging.FileHandler('a.csv')); log.info('x'); print(open('a.csv').read(), end='')",
    "pytest's capture": (
        "old = os.dup(1); t = tempfile.TemporaryFile('w+'); os.dup2(t.fileno(), 1)\n"
        "to(logging.StreamHandler(sys.stdout)); log.info('x')\n"
        "s = io.TextIOWrapper(open(t.fileno(), 'wb', buffering=0, closefd=False), write_through=True)\n"
        "t.seek(0); os.write(old, t.read().encode())"
    ),
    "a pipe to a child": (
        "import subprocess; p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, text=True)\n"
        "to(logging.StreamHandler(p.stdin)); log.info('x'); p.stdin.close(); p.wait()"
    ),
}


@pytest.mark.parametrize("name", STANDARD)
def test_it_becomes_json(tmp_path: Path, name: str) -> None:
    assert json.loads(run(STANDARD[name], tmp_path))["message"] == "x"


@pytest.mark.parametrize("name", OTHERS)
def test_it_stays(tmp_path: Path, name: str) -> None:
    assert run(OTHERS[name], tmp_path) == "INFO x\n"


@pytest.mark.parametrize("mode", ["json", "inject"])
def test_objects_in_memory_stay(tmp_path: Path, mode: str) -> None:
    script = (
        's = io.StringIO(); to(logging.StreamHandler(s), \'{"m": "%(message)s"}\')\n'
        "log.info('x', extra={'trace_id': 't'}); print(s.getvalue(), end='')"
    )
    assert run(script, tmp_path, mode) == '{"m": "x"}\n'


def test_a_closed_stdout_lends_its_number_to_no_file(tmp_path: Path) -> None:
    script = "to(logging.FileHandler('a.csv')); log.info('x')"
    code = f"import os\nos.close(1)\n{START.format(mode='json')}{script}"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "a.csv").read_text() == "INFO x\n"


@pytest.mark.parametrize("handler", ["StreamHandler(sys.stdout)", "FileHandler('/dev/stdout')"])
@pytest.mark.parametrize("text", ["%(message)s", "%(levelname)s %(message)s\\n", '{{"m": "%(message)s"}}\\n'])
@pytest.mark.parametrize("terminator", ["", "\\r", "\\0", "\\n\\n"])
def test_an_object_is_a_line_whatever_the_terminator(tmp_path: Path, handler: str, text: str, terminator: str) -> None:
    script = f"h = logging.{handler}; h.terminator = '{terminator}'; to(h, '{text}'); log.info('x'); log.info('y')"
    lines = run(script.replace("{{", "{").replace("}}", "}"), tmp_path).split("\n")
    assert [isinstance(json.loads(line), dict) for line in lines[:-1]] == [True, True]
    assert lines[-1] == ""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "utf-16"])
def test_text_is_written_as_it_is_where_the_stream_can(tmp_path: Path, encoding: str) -> None:
    script = f"s = open('/dev/stdout', 'w', encoding='{encoding}'); to(logging.StreamHandler(s)); log.info('订单 😀')"
    code = START.format(mode="json") + script
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    text = done.stdout.decode(encoding)
    assert json.loads(text)["message"] == "订单 😀"
    assert ("订单 😀" in text) == encoding.startswith("utf")


def test_what_pytest_captures_stays(tmp_path: Path) -> None:
    """Tracing begins in the middle of it, with the first import of something that is traced."""
    (tmp_path / "test_captured.py").write_text(
        "import logging, os, sys\n"
        "def test_fd(capfd):\n    import fastapi\n    check(os.fdopen(os.dup(1), 'w'), capfd)\n"
        "def test_sys(capsys):\n    import fastapi\n    check(sys.stdout, capsys)\n"
        "def test_caplog(caplog):\n    import fastapi\n    logging.getLogger('app').warning('x')\n"
        "    assert caplog.text.endswith('x\\n') and '{' not in caplog.text\n"
        "def check(stream, capture):\n"
        "    handler = logging.StreamHandler(stream)\n"
        "    handler.setFormatter(logging.Formatter('%(levelname)s %(message)s'))\n"
        "    log = logging.Logger('app')\n    log.addHandler(handler)\n    log.info('x')\n"
        "    assert capture.readouterr().out == 'INFO x\\n'\n"
    )
    program = Path(sysconfig.get_path("scripts"), "tracebaton")
    command = [program, "run", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("before", ["", "log.info('before')\n"], ids=["at once", "after a line"])
def test_a_descriptor_that_leads_elsewhere_meanwhile(tmp_path: Path, before: str) -> None:
    """As capturing by descriptors does, while `sys.stderr` stays the same object."""
    script = (
        "to(logging.StreamHandler(sys.stderr))\n"
        + before
        + "kept, capture = os.dup(2), tempfile.TemporaryFile()\nos.dup2(capture.fileno(), 2)\nlog.info('inside')\n"
        "os.dup2(kept, 2)\nlog.info('behind')\ncapture.seek(0)\nprint(capture.read())\n"
    )
    printed = run(script, tmp_path)
    assert "b'INFO inside\\n'" in printed
