"""Whether the Python that a command starts will find tracebaton by PYTHONPATH, as far as can be seen beforehand."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Of an interpreter's options, those that keep PYTHONPATH or `sitecustomize` out (python --help).
_IGNORES = {"I": "-I ignores PYTHONPATH", "E": "-E ignores PYTHONPATH", "S": "-S imports no sitecustomize"}
# Programs that start another one in an environment of their own making.
_CLEANING = ("sudo", "doas")
_CLEANING_AT_LOGIN = ("su", "runuser")
_WITH_VALUE = ("-X", "-W", "--check-hash-based-pycs")
# Where a zip archive has its directory, in which the name of this file stands for a pex.
_ENDING = 1 << 16
_PEX = b"PEX-INFO"


def why_untraced(program: str, arguments: Sequence[str]) -> str | None:
    """One sentence where this command is a Python that starts without tracebaton; else None.

    `program` is the path of an executable file. The Python of another environment is asked.
    """
    name = os.path.basename(program)  # noqa: PTH119 (imports pathlib)
    shown = " ".join([name, *arguments[:1]])
    if name == "env":
        return _of_env(arguments)
    if name in _CLEANING or (name in _CLEANING_AT_LOGIN and {"-", "-l", "--login"} & set(arguments)):
        return f"{name} hands no environment on, by which tracing starts: put `tracebaton run` behind it."
    python, options = program, list(arguments)
    if not is_python(program):
        first_line, ending = _ends_of(program)
        if _PEX in ending:
            return f"a pex ignores PYTHONPATH, by which tracing starts: {shown!r} runs untraced."
        python, *options = interpreter_in(first_line) or [""]
        if not is_python(python):
            return None
    for letters in _options(options):
        for letter, why in _IGNORES.items():
            if letter in letters:
                return f"python {why}, by which tracing starts: {shown!r} runs untraced."
    if not _finds_us(python):
        return (
            f"the environment of {python} has no tracebaton: {shown!r} runs untraced. Install tracebaton there, or "
            "start with that environment's own `tracebaton run`."
        )
    return None


def which(name: str, path: str | None = None) -> str | None:
    """As `shutil.which` on POSIX, whose module imports five others: 8 ms that every start would wait for."""
    if os.sep in name:
        return name if _is_executable(name) else None
    for directory in (path or os.environ.get("PATH") or os.defpath).split(os.pathsep):
        found = os.path.join(directory or os.curdir, name)  # noqa: PTH118 (imports pathlib)
        if _is_executable(found):
            return found
    return None


def is_python(path: str) -> bool:
    """By its name."""
    name = os.path.basename(path)  # noqa: PTH119
    return name.rstrip("0123456789.t") in ("python", "pypy") and not name.startswith(".")


def interpreter_of(program: str) -> list[str]:
    """What runs this file, with the options that its first line gives it; empty for a program in machine code."""
    return [program] if is_python(program) else interpreter_in(_ends_of(program)[0])


def interpreter_in(first_line: bytes) -> list[str]:
    """The words behind `#!`, less `env` and what that reads itself."""
    words = os.fsdecode(first_line[2:]).split() if first_line.startswith(b"#!") else []
    if words and os.path.basename(words[0]) == "env":  # noqa: PTH119
        words = [word for word in words[1:] if word != "-S" and "=" not in word]
    return words


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113


def _of_env(arguments: Sequence[str]) -> str | None:
    """`env [OPTION ...] [NAME=VALUE ...] COMMAND` (coreutils)."""
    rest = list(arguments)
    while rest and (rest[0].startswith("-") or "=" in rest[0]):
        word = rest.pop(0)
        cleans = word in ("-", "-i", "--ignore-environment", "-uPYTHONPATH", "--unset=PYTHONPATH")
        unsets = word in ("-u", "--unset") and rest[:1] == ["PYTHONPATH"]
        if cleans or unsets or word.startswith("PYTHONPATH="):
            return (
                f"env {word} takes PYTHONPATH away, by which tracing starts: {' '.join(rest[-1:])!r} runs untraced. "
                "Put `tracebaton run` behind it."
            )
        if word in ("-u", "--unset", "-C", "--chdir"):
            del rest[:1]
    program = which(rest[0]) if rest else None
    return why_untraced(program, rest[1:]) if program is not None else None


def _options(arguments: Sequence[str]) -> list[str]:
    """The letters of the interpreter's own options, which end at the program."""
    found = []
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        option = rest.pop(0)
        if option in _WITH_VALUE:
            del rest[:1]
        elif not option.startswith(("-X", "-W", "--")):
            letters, stop, _ = option[1:].partition("c") if "c" in option else option[1:].partition("m")
            found.append(letters)
            if stop:
                break
    return found


def _finds_us(path: str) -> bool:
    """Another environment's Python is asked, which takes as long as it takes to start."""
    found = which(path)
    if found is None:
        return True  # it will not run, which is another matter
    if os.path.dirname(os.path.abspath(found)) == os.path.dirname(os.path.abspath(sys.executable)):  # noqa: PTH100, PTH120
        return True
    import subprocess

    code = "import importlib.util as u, sys; sys.exit(u.find_spec('tracebaton_configurator') is None)"
    try:
        return subprocess.run([found, "-c", code], check=False, capture_output=True, timeout=10).returncode != 1
    except (OSError, subprocess.SubprocessError):
        return True


def _ends_of(path: str) -> tuple[bytes, bytes]:
    """The first line and the last bytes of a file that has an interpreter; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (imports pathlib)
            first = file.readline(512)
            if not first.startswith(b"#!"):
                return b"", b""
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _ENDING))
            return first, file.read()
    except OSError:
        return b"", b""
