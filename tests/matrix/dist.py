"""`make dist`: an sdist and a wheel in dist/, checked, and the wheel tried on each Python at hand as a stranger would.

Each gets an empty environment with nothing but the wheel and what the demo needs; then the demo runs against it.
Exit status: 1 where something does not hold.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pythons import PROMISED, ROOT, installed

DIST = ROOT / "dist"
TOOLS = ("build", "twine")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tracebaton-dist-") as directory:
        place = Path(directory)
        python = environment(place / "tools", sys.executable, *TOOLS)
        shutil.rmtree(DIST, ignore_errors=True)
        run([python, "-m", "build", "--outdir", str(DIST), str(ROOT)])
        made = sorted(map(str, DIST.iterdir()))
        say(run([python, "-m", "twine", "check", "--strict", *made]).strip())
        (wheel,) = DIST.glob("*.whl")
        failed = False
        for version in PROMISED:
            program = installed(version)
            if program is None:
                say(f"Python {version}: not here")
                continue
            own = environment(place / version, program, f"{wheel}[demo]")
            problem = tried(own, place)
            say(f"Python {version}: {problem or 'the demo runs from the wheel'}")
            failed = failed or bool(problem)
    return int(failed)


def tried(python: str, elsewhere: Path) -> str:
    """What does not hold of the wheel in this environment; empty where all does. Nothing is found in the checkout."""
    command = [str(Path(python).with_name("tracebaton")), "--version"]
    if run(command, cwd=elsewhere) != run([python, "-m", "tracebaton", "--version"], cwd=elsewhere):
        return "`python -m tracebaton` is not `tracebaton`"
    done = subprocess.run(
        [python, str(ROOT / "docker" / "demo" / "drive.py")],
        cwd=elsewhere,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return "" if done.returncode == 0 else f"the demo ended with {done.returncode}\n{done.stdout}{done.stderr}"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def environment(place: Path, program: str, *what: str) -> str:
    """A new one with these packages; its Python."""
    run([program, "-m", "venv", str(place)])
    python = str(place / "bin" / "python")
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what])
    return python


def run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
