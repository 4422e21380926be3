"""What tracebaton brings along: the size of a plain installation, and what a traced process imports.

python bench/footprint.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What an application imports, and one request that is answered within it.
PROGRAM = """
import asyncio, json, os, sys, httpx, fastapi, uvicorn
app = fastapi.FastAPI()
app.get("/")(lambda: 1)
async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        await client.get("/")
asyncio.run(ask())
if len(sys.argv) > 1:
    from opentelemetry import trace
    trace.get_tracer_provider().force_flush(1000)
print(json.dumps(sorted(sys.modules)))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        empty, full = installed(place / "empty"), installed(place / "full", ROOT)
        added = {name: size for name, size in full.items() if name not in empty}
        distributions = sum(name.endswith(".dist-info") for name in added)
        print(
            f"a plain installation: {distributions} distributions, {sum(added.values()) / 1e6:.0f} MB without bytecode"
        )
        largest = sorted(added, key=lambda name: -added[name])[:6]
        print("  " + ", ".join(f"{name} {added[name] / 1e6:.1f} MB" for name in largest))
    command = [sys.executable, "-c", PROGRAM]
    bare = modules(command)
    traced = modules([str(Path(sys.executable).with_name("tracebaton")), "run", *command, "flush"])
    print(f"imported by a FastAPI application: {len(bare)} modules; traced, with spans sent: {len(traced - bare)} more")
    tops = Counter(name.partition(".")[0] for name in traced - bare)
    print("  " + ", ".join(f"{top} {n}" for top, n in tops.most_common() if top not in sys.stdlib_module_names))


def installed(place: Path, *what: Path) -> dict[str, int]:
    """Bytes of each top-level package in a new environment, without bytecode."""
    venv.create(place, with_pip=True)
    if what:
        pip = [
            str(place / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
        ]
        subprocess.run([*pip, *map(str, what)], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    sizes: dict[str, int] = {}
    for path in packages.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            top = path.relative_to(packages).parts[0]
            sizes[top] = sizes.get(top, 0) + path.stat().st_size
    return sizes


def modules(command: list[str]) -> set[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    # Every request is recorded; nobody listens there, which is enough for what delivers to be imported.
    env |= {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return set(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
