"""What Python writes to stderr by itself is one JSON line, with the same words; each case in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

START = """
import asyncio, code, contextlib, gc, io, logging, os, signal, sys, threading, warnings, weakref, _thread
{before}
{install}
"""
INSTALL = "from tracebaton_configurator.logs import hook; hook.install({!r}, 'shop')"
IDS = {"trace_id": f"{7:032x}", "span_id": f"{7:016x}", "trace_flags": "01"}
IN_A_REQUEST = """
from opentelemetry import trace
request = trace.SpanContext(7, 7, is_remote=False, trace_flags=trace.TraceFlags(1))
with trace.use_span(trace.NonRecordingSpan(request), record_exception=False):
"""


def run(
    directory: Path, script: str, mode: str = "json", *flags: str, before: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Mode `plain` is Python as it is."""
    path = directory / "script.py"
    path.write_text(
        START.format(before=before, install=INSTALL.format(mode) if mode != "plain" else "") + script, encoding="utf-8"
    )
    (directory / "broken.py").write_text("a = (1\nb = 2\n")
    names = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    return subprocess.run(
        [sys.executable, *flags, str(path)],
        env=names | {"PYTHONUTF8": "1", **environ},
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def same(text: str) -> str:
    """Without addresses, and what differs between `traceback` and the same in C."""
    # A hook in Python refers to what it is given, which C shows where there is no stderr.
    text = re.sub(r"0x[0-9a-f]+|(?<=object refcount : )\d+", "N", text)
    if sys.version_info >= (3, 13):  # C has no marks
        text = re.sub(r"(?m)^ *[~^]+\n", "", text)
    return text.replace("\n__main__.", "\n")  # on 3.10, C has the module


def told(line: dict[str, Any]) -> str:
    parts = [line["message"], line.get("exc_info")]
    return same("\n".join(part for part in parts if part and part != "Uncaught exception"))


def assert_told(directory: Path, script: str, *flags: str, **options: Any) -> list[dict[str, Any]]:
    """Mode `json` writes what a plain run writes, one line for each report, and ends as that; returns the lines."""
    script = textwrap.dedent(script)
    plain = run(directory, script, "plain", *flags, **options)
    done = run(directory, script, "json", *flags, **options)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines
    assert "\n".join(map(told, lines)) == same(plain.stderr).rstrip("\n")
    assert (done.stdout, done.returncode) == (plain.stdout, plain.returncode)
    assert all(line["service.name"] == "shop" for line in lines)
    return lines


def assert_same(directory: Path, script: str, *flags: str, mode: str = "json", **options: Any) -> str:
    """The mode changes nothing; returns what was printed."""
    script = textwrap.dedent(script)
    plain, done = (run(directory, script, mode, *flags, **options) for mode in ("plain", mode))
    assert done.returncode == plain.returncode
    assert same(done.stdout) == same(plain.stdout)
    assert same(done.stderr) == same(plain.stderr)
    return plain.stdout + plain.stderr


NEW = pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python has none of these")
ENDS = {
    "an exception": "raise ValueError('no price')",
    "one without words": "raise ValueError",
    "text that is not ASCII": "raise ValueError('价格 \\ud800')",
    "a cause": """
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise KeyError("a\\nb") from error
        """,
    "a context": """
        def f():
            try:
                1 / 0
            finally:
                raise KeyError
        f()
        """,
    "a cause that is hidden": """
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise KeyError from None
        """,
    "a recursion": """
        def f(n):
            return f(n + 1)
        f(0)
        """,
    "a deep one": """
        sys.setrecursionlimit(5000)
        def f(n):
            return g(n) if n else 1 / 0
        def g(n):
            return f(n - 1)
        f(900)
        """,
    "a limit of frames": """
        sys.tracebacklimit = 2
        def f(n):
            return f(n - 1) if n else 1 / 0
        f(5)
        """,
    "a limit of none": "sys.tracebacklimit = 0; 1 / 0",
    "a syntax error": "import broken",
    "a syntax error in a text": "compile('a b', 'name', 'exec')",
    "no module": "import nothing_like_it",
    "a class of its own": """
        class Own(Exception):
            pass
        raise Own(1, 2)
        """,
    "asyncio": """
        async def main():
            await asyncio.gather(fail())
        async def fail():
            await asyncio.sleep(0)
            raise ValueError('fails')
        asyncio.run(main())
        """,
}
NEW_ENDS = {
    "notes": "error = ValueError('x'); error.add_note('a\\nnote'); raise error",
    "a group": """
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise ExceptionGroup("two", [error, ExceptionGroup("in", [KeyError(1)])])
        """,
    "a str that raises": """
        class Own(Exception):
            def __str__(self):
                raise ValueError
        raise Own
        """,
}


@pytest.mark.parametrize("name", [*ENDS, *(pytest.param(name, marks=NEW) for name in NEW_ENDS)])
def test_the_exception_that_ends_the_process(tmp_path: Path, name: str) -> None:
    (line,) = assert_told(tmp_path, {**ENDS, **NEW_ENDS}[name])
    assert (line["level"], line["logger"], line["message"]) == ("CRITICAL", "sys.excepthook", "Uncaught exception")


THREADS = {
    "a function": """
        def f():
            1 / 0
        t = threading.Thread(target=f); t.start(); t.join()
        """,
    "a named one": """
        class Own(threading.Thread):
            def run(self):
                try:
                    1 / 0
                except ZeroDivisionError as error:
                    raise KeyError("x") from error
        t = Own(name="worker of mine"); t.start(); t.join()
        """,
    "called by hand": """
        try:
            1 / 0
        except ZeroDivisionError as error:
            threading.excepthook(threading.ExceptHookArgs((KeyError, error, None, threading.main_thread())))
        """,
    "the process ends meanwhile": """
        def f():
            threading.main_thread().join()
            1 / 0
        threading.Thread(target=f).start()
        """,
}  # fmt: skip


@pytest.mark.parametrize("name", THREADS)
def test_an_exception_that_ends_a_thread(tmp_path: Path, name: str) -> None:
    (line,) = assert_told(tmp_path, THREADS[name])
    assert (line["level"], line["logger"]) == ("ERROR", "threading.excepthook")
    assert line["message"].startswith("Exception in thread ")


FINALIZER = """
class Own:
    def __del__(self):
        try:
            1 / 0
        finally:
            raise KeyError('x')
"""
UNRAISABLE = {
    "a finalizer": FINALIZER + "Own()",
    "in a circle": FINALIZER + "a = Own(); a.a = a; del a; gc.collect()",
    "a weak reference": """
        class Own: pass
        def gone(_): raise ValueError("gone")
        a = Own(); w = weakref.ref(a, gone); del a
        """,
    "a bare thread": """
        def f():
            begun.release()
            1 / 0
        begun = _thread.allocate_lock(); begun.acquire()
        _thread.start_new_thread(f, ()); begun.acquire()
        while _thread._count(): pass
        """,
    "a generator": """
        def f():
            try:
                yield
            finally:
                raise ValueError("closing")
        g = f(); next(g); del g
        """,
}


@pytest.mark.parametrize("name", UNRAISABLE)
def test_an_exception_that_nobody_can_catch(tmp_path: Path, name: str) -> None:
    (line,) = assert_told(tmp_path, UNRAISABLE[name])
    assert (line["level"], line["logger"]) == ("ERROR", "sys.unraisablehook")


WARNINGS = {
    "a word": "warnings.warn('old')",
    "of a caller": """
        def f():
            warnings.warn("old", DeprecationWarning, stacklevel=2)
        f()
        """,
    "of another file": "warnings.warn_explicit('x\\ny', UserWarning, 'nowhere.py', 3)",
    "often": "for n in range(3): warnings.warn('once')",
    "the application's form": """
        warnings.formatwarning = lambda message, *_: f"own <{message}>\\n"
        warnings.warn("x")
        """,
    "a coroutine": """
        async def f(): pass
        f()
        gc.collect()
        """,
    "a warning that is recorded before": """
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            warnings.warn("one")
        print([str(one.message) for one in found], found[0].file, found[0].line)
        warnings.warn("two")
        """,
    "after a log was captured": """
        logging.captureWarnings(True); logging.captureWarnings(False)
        warnings.warn("x")
        """,
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning(tmp_path: Path, name: str) -> None:
    (line,) = assert_told(tmp_path, WARNINGS[name])
    assert (line["level"], line["logger"]) == ("WARNING", "py.warnings")
    assert "exc_info" not in line


def test_where_a_resource_was_allocated(tmp_path: Path) -> None:
    script = "def f():\n    open(os.devnull)\nf()\n"
    (line,) = assert_told(tmp_path, script, "-X", "tracemalloc=5", "-W", "always")
    assert "Object allocated at" in line["message"]
    assert_told(tmp_path, script, "-W", "always")


def test_installed_while_warnings_are_caught(tmp_path: Path) -> None:
    script = f"with warnings.catch_warnings():\n    {INSTALL.format('json')}\nwarnings.warn('x')"
    done = run(tmp_path, script, "plain")
    assert json.loads(done.stderr)["logger"] == "py.warnings"


SAME = {
    "exit": "sys.exit(3)",
    "exit with words": "sys.exit('words')",
    "exit in a thread": "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()",
    "Ctrl-C": "raise KeyboardInterrupt",
    "Ctrl-C by signal": "signal.raise_signal(signal.SIGINT)",
    "a recorded warning": """
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            warnings.warn("x")
        print([(str(one.message), one.file, one.source) for one in found])
        """,
    "an ignored one": "warnings.simplefilter('ignore'); warnings.warn('x')",
    "one for a file": "warnings.showwarning('x', UserWarning, 'a.py', 1, sys.stdout)",
    "one for stderr by name": "warnings.showwarning('x', UserWarning, 'a.py', 1, sys.stderr)",
    "a hook that calls the one before": """
        before = warnings.showwarning
        def own(*args, **more):
            print("own", flush=True)
            before(*args, **more)
        warnings.showwarning = own
        warnings.warn("x")
        """,
    "text in memory": """
        s = io.StringIO()
        with contextlib.redirect_stderr(s):
            warnings.warn("x")
            t = threading.Thread(target=int, args=("x",)); t.start(); t.join()
        print(s.getvalue())
        """,
    "a stderr that redacts": """
        class Redacting(io.TextIOWrapper):
            def write(self, text):
                return super().write(text.replace("secret", "***"))
        sys.stderr = Redacting(sys.stderr.buffer, line_buffering=True)
        warnings.warn("secret")
        raise ValueError("secret")
        """,
    "no stderr": "sys.stderr = None; warnings.warn('x'); raise ValueError",
    "no stderr at all": "del sys.stderr; warnings.warn('x'); raise ValueError",
    "a closed one": "sys.stderr.close(); raise ValueError",
    "a closed descriptor": "os.close(2); threading.Thread(target=int, args=('x',)).start(); raise ValueError",
    "a stderr that fails": """
        class Broken:
            def write(self, text): raise OSError
            def fileno(self): return 2
        sys.stderr = Broken(); warnings.warn("x"); raise ValueError
        """,
    "a prompt": "sys.ps1 = '> '; raise ValueError",
    "a console": """
        class Own(code.InteractiveInterpreter):
            def write(self, text):
                print("console:", text)
        for text in ("1 / 0", "a b"):
            Own().runsource(text)
        """,
    "no exception": "sys.excepthook(None, None, None)",
    "the hooks of Python": """
        print(sys.__excepthook__, threading.__excepthook__, sys.__unraisablehook__, warnings.showwarning)
        sys.__excepthook__(ValueError, ValueError("x"), None)
        """,
    "a hook of the application's": """
        sys.excepthook = lambda kind, value, tb: print("own", kind, value)
        threading.excepthook = lambda args: print("own", args.exc_type, args.thread.name)
        sys.unraisablehook = lambda args: print("own", args.exc_type, args.err_msg)
        warnings.showwarning = lambda *args: print("own", args)
        """ + textwrap.indent(FINALIZER, "        ") + """
        Own(); warnings.warn("x")
        t = threading.Thread(target=int, args=("x",)); t.start(); t.join()
        raise ValueError
        """,
    "the ending interpreter": FINALIZER + "class Module: pass\nsys.kept = Own()",
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_what_stays_as_it_is(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, SAME[name])


def test_what_a_parent_reads_stays(tmp_path: Path) -> None:
    script = "from tracebaton_configurator.logs import captured\ncaptured.streams = frozenset({2})\n"
    script += "warnings.warn('x')\nraise ValueError"
    assert "ValueError" in assert_same(tmp_path, script)


@pytest.mark.parametrize("setting", ["error", "ignore", "once", "default::DeprecationWarning"])
def test_filters(tmp_path: Path, setting: str) -> None:
    script = """
        for _ in range(2):
            try:
                warnings.warn("x", DeprecationWarning)
            except DeprecationWarning:
                print("raised")
        warnings.warn("y", DeprecationWarning) if "error" not in sys.warnoptions else None
        """
    for flags, environ in ((("-W", setting), {}), ((), {"PYTHONWARNINGS": setting})):
        if setting in ("error", "ignore"):
            assert_same(tmp_path, script, *flags, **environ)
        else:
            assert len(assert_told(tmp_path, script, *flags, **environ)) == 2


def test_warnings_captured_as_log_records(tmp_path: Path) -> None:
    script = "logging.basicConfig(); logging.captureWarnings(True); warnings.warn('x')"
    (line,) = run(tmp_path, script).stderr.splitlines()
    assert json.loads(line)["logger"] == "py.warnings"


OWN_HOOKS = """
sys.excepthook = lambda *args: print("own", args[0])
threading.excepthook = lambda args: print("own", args.exc_type)
sys.unraisablehook = lambda args: print("own", args.exc_type)
"""


def test_hooks_that_were_there_before(tmp_path: Path) -> None:
    script = FINALIZER + "Own()\nt = threading.Thread(target=int, args=('x',)); t.start(); t.join()\n"
    ask = "from tracebaton_configurator.patching import registry\n"
    ask += "for one in ('excepthook', 'thread-excepthook', 'unraisablehook'): print(one, registry.outcome(one))\n"
    assert_same(tmp_path, script + "raise ValueError", before=OWN_HOOKS)
    done = run(tmp_path, ask, before=OWN_HOOKS)
    assert done.stdout.count("status='declined', reason=") == 3
    assert done.stderr == ""


def test_a_wrapper_of_pythons_hook_is_no_hook_of_pythons(tmp_path: Path) -> None:
    before = """
import functools
pythons = sys.excepthook
@functools.wraps(pythons)
def own(*args): print("own"); pythons(*args)
sys.excepthook = own
"""
    assert "own" in assert_same(tmp_path, "raise ValueError", before=before)


@pytest.mark.parametrize("hook", ["sys.excepthook", "sys.unraisablehook", "threading.excepthook"])
def test_a_hook_that_is_gone(tmp_path: Path, hook: str) -> None:
    before = run(tmp_path, "raise ValueError", before=f"del {hook}")
    after = run(tmp_path, f"del {hook}\nraise ValueError")
    assert "ValueError" in before.stderr
    assert "ValueError" in after.stderr
    assert "tracebaton_configurator" not in before.stderr + after.stderr


def test_a_hook_that_calls_the_one_before(tmp_path: Path) -> None:
    script = """
        before, in_thread = sys.excepthook, threading.excepthook
        def own(*args):
            print("own", args[:2], flush=True)
            before(*args)
        sys.excepthook = own
        threading.excepthook = lambda args: (print("own", args.exc_type), in_thread(args))
        t = threading.Thread(target=int, args=("x",)); t.start(); t.join()
        raise ValueError
        """
    lines = assert_told(tmp_path, script)
    assert [line["logger"] for line in lines] == ["threading.excepthook", "sys.excepthook"]


def test_ids(tmp_path: Path) -> None:
    script = f"""
{FINALIZER}
{IN_A_REQUEST}
    warnings.warn("x")
    Own()
    sys.excepthook(ValueError, ValueError("x"), None)
warnings.warn("y")
from tracebaton_configurator.logs.ids import Ids, remember_ids
error = ValueError("z")
remember_ids(error, Ids({f"{7:032x}"!r}, {f"{7:016x}"!r}, "01"))
raise error
"""
    lines = assert_told(tmp_path, script)
    assert [{name: line[name] for name in IDS if name in line} for line in lines] == [IDS, IDS, IDS, {}, IDS]


def test_in_a_forked_child(tmp_path: Path) -> None:
    lines = assert_told(tmp_path, "if os.fork():\n    os.wait()\nelse:\n    raise ValueError\n")
    assert len(lines) == 1


@pytest.mark.parametrize("mode", ["inject", "off"])
def test_other_modes(tmp_path: Path, mode: str) -> None:
    script = FINALIZER + "Own()\nt = threading.Thread(target=int, args=('x',)); t.start(); t.join()\n"
    assert "UserWarning" in assert_same(tmp_path, script + "warnings.warn('x')\nraise ValueError", mode=mode)


def test_order(tmp_path: Path) -> None:
    script = "sys.stderr.write('{}\\n'); warnings.warn('x'); sys.stderr.write('{}\\n'); raise ValueError"
    done = run(tmp_path, script)
    assert [json.loads(line).get("logger") for line in done.stderr.splitlines()] == [
        None,
        "py.warnings",
        None,
        "sys.excepthook",
    ]


def test_a_stderr_of_another_encoding(tmp_path: Path) -> None:
    done = run(tmp_path, "raise ValueError('价格')", PYTHONIOENCODING="ascii")
    assert "价格" in json.loads(done.stderr)["exc_info"]


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="exceptiongroup is asked for before 3.11 only")
def test_exceptiongroup_finds_pythons_hook(tmp_path: Path) -> None:
    script = "import anyio, exceptiongroup\nraise exceptiongroup.ExceptionGroup('two', [ValueError(1), KeyError(2)])"
    (line,) = assert_told(tmp_path, script)
    assert "KeyError: 2" in line["exc_info"]
    (line,) = assert_told(tmp_path, script, before="import exceptiongroup")
    assert "KeyError: 2" in line["exc_info"]
