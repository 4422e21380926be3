"""Installs packages for the tests: python tests/matrix/installing.py ARGUMENTS, which are those of `pip install`.

By uv, which takes a second where pip takes twenty, as long as it can be had and manages; else by pip itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
# Where an index, a certificate or a folder of packages is set for pip, it is meant for uv as well.
_SAME = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}
_FAILED = Path(sys.prefix, "uv-failed")


def install(python: str | Path, *arguments: str) -> None:
    """Into the environment of that Python; raises CalledProcessError, whose `output` is what pip said."""
    uv = _uv()
    if uv is not None:
        environ = {**os.environ, **{theirs: os.environ[ours] for ours, theirs in _SAME.items() if ours in os.environ}}
        command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *arguments]
        if subprocess.run(command, check=False, capture_output=True, env=environ).returncode == 0:
            return
    command = [*_PIP, "--python", str(python), "install", "--prefer-binary", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if uv is not None:  # pip manages what uv does not: an index or a certificate that only pip knows of
        _FAILED.touch()
        _uv.cache_clear()


@cache
def _uv() -> str | None:
    """That of this environment, into which it is put at first."""
    if _FAILED.exists():
        return None
    program = Path(sys.executable).parent / "uv"
    if not program.exists():
        subprocess.run([*_PIP, "install", "--only-binary", ":all:", "uv"], check=False, capture_output=True)
    return str(program) if program.exists() else None


def main(arguments: Sequence[str]) -> int:
    try:
        install(sys.executable, *arguments)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.output)
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
