"""An environment in which an application has a site-packages and a user site of its own, on top of the tests' own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def lay_out(here: Path, place: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Make it below `place`, with what lies in `site-packages` and `user-site` of `here`; returns its variables."""
    venv = place / "venv"
    # A user site is looked at only where the system's packages are wanted, too (site.py, `venv`).
    making = [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(venv)]
    subprocess.run(making, check=True)
    variables = {**environ, "PYTHONUSERBASE": str(place / "user")}
    variables["PATH"] = os.pathsep.join([str(venv / "bin"), environ["PATH"]])
    where = "import site, sysconfig; print(sysconfig.get_path('purelib'), site.getusersitepackages(), sep='\\n')"
    asked = subprocess.run(
        [venv / "bin" / "python", "-c", where], check=True, env=variables, capture_output=True, text=True
    )
    for name, target in zip(("site-packages", "user-site"), asked.stdout.split("\n"), strict=False):
        if (here / name).is_dir():
            shutil.copytree(here / name, target, dirs_exist_ok=True)
    shared = sysconfig.get_path("purelib")
    (venv / asked.stdout.split("\n")[0] / "zz_shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    return variables
