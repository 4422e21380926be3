"""Callbacks around imports, each case in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

START = "import sys; from tracebaton_configurator.patching import on_import; said = []\n"


def run(code: str, path: Path | None = None) -> str:
    """What `code` prints; it fails where anything goes to stderr."""
    env = {"PYTHONPATH": str(path)} if path is not None else {}
    done = subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, check=False, timeout=60, env=env
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_before_and_after() -> None:
    code = """
on_import.before("colorsys", lambda: said.append("before"))
on_import.after("colorsys", lambda module: said.append(hasattr(module, "hls_to_rgb")))
import colorsys
import colorsys
print(said)
"""
    assert run(code) == "['before', True]\n"


def test_what_is_imported_already_is_served_at_once() -> None:
    code = """
import colorsys
on_import.after("colorsys", lambda module: said.append(module.__name__))
print(said)
"""
    assert run(code) == "['colorsys']\n"


def test_the_module_has_its_own_loader() -> None:
    code = """
on_import.after("colorsys", lambda module: None)
import colorsys, inspect, importlib.util
loaders = colorsys.__loader__, colorsys.__spec__.loader
print([type(one).__name__ for one in loaders], len(inspect.getsource(colorsys)) > 1000)
import importlib; importlib.reload(colorsys)
"""
    assert run(code) == "['SourceFileLoader', 'SourceFileLoader'] True\n"


def test_looking_for_a_module_is_not_importing_it() -> None:
    code = """
on_import.before("colorsys", lambda: said.append("before"))
on_import.after("colorsys", lambda module: said.append("after"))
import importlib.util; importlib.util.find_spec("colorsys")
print(said); import colorsys; print(said)
"""
    assert run(code) == "[]\n['before', 'after']\n"


def test_a_callback_may_wait_for_the_same_module() -> None:
    code = """
on_import.after("colorsys", lambda module: on_import.after("colorsys", lambda module: said.append("inner")))
import colorsys
print(said)
"""
    assert run(code) == "['inner']\n"


def test_a_callback_that_raises_fails_no_import() -> None:
    code = """
on_import.on_error = lambda callback, error: said.append(str(error))
on_import.after("colorsys", lambda module: 1 / 0)
on_import.after("colorsys", lambda module: said.append("the next"))
import colorsys
print(said)
"""
    assert run(code) == "['division by zero', 'the next']\n"


def test_an_import_that_fails_calls_nobody(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    code = """
on_import.after("broken", lambda module: said.append("after"))
try: import broken
except ZeroDivisionError: print("as without", said, "broken" in sys.modules)
on_import.after("not_there", lambda module: None)
try: import not_there
except ModuleNotFoundError as error: print(error)
"""
    assert run(code, tmp_path) == "as without [] False\nNo module named 'not_there'\n"


def test_submodules_and_finders_in_front() -> None:
    code = """
class Front:
    @staticmethod
    def find_spec(name, path=None, target=None): said.append(name)
on_import.after("email.mime.text", lambda module: said.append("after"))
sys.meta_path.insert(0, Front)
import email.mime.text
print(said.count("email.mime.text"), said[-1])
"""
    assert run(code) == "1 after\n"


@pytest.mark.parametrize(
    "statement", ["import opentelemetry.trace", "from opentelemetry.sdk.trace import TracerProvider"]
)
def test_opentelemetry_is_complete_when_it_is_said_to_be(statement: str) -> None:
    code = f"""
def complete(): said.append(hasattr(sys.modules["opentelemetry.trace"], "get_tracer"))
on_import.when_opentelemetry_is_complete(complete)
{statement}
print(said, on_import.is_complete())
"""
    assert run(code) == "[True] True\n"


def test_a_library_that_an_instrumentation_imports_is_served_when_that_one_is_complete() -> None:
    code = """
def come(module): said.append(hasattr(sys.modules["opentelemetry.instrumentation.httpx"], "HTTPXClientInstrumentor"))
on_import.after("httpx", come)
import opentelemetry.instrumentation.httpx
print(said)
"""
    assert run(code) == "[True]\n"


@pytest.mark.parametrize("fails", [False, True])
def test_a_module_that_was_under_way_before_anybody_waited_for_it(tmp_path: Path, *, fails: bool) -> None:
    """A library that brings up tracing by what it imports itself: nothing could wrap its loader in time."""
    (tmp_path / "library.py").write_text(
        "from tracebaton_configurator.patching import on_import\nimport __main__\n"
        "if not __main__.said:\n"
        "    on_import.after('library', lambda module: __main__.said.append(module.answer))\n"
        f"    __main__.said.append('waits')\n    assert not {fails}\n"
        "answer = 42\n"
    )
    code = """
from importlib.machinery import ModuleSpec
try:
    import library
except AssertionError:
    print(said)
    import library
print(said, type(library.__spec__) is ModuleSpec, on_import.is_being_executed(library))
"""
    first = "['waits']\n" if fails else ""
    assert run(code, tmp_path) == f"{first}['waits', 42] True False\n"
