"""What the product imports is what the distribution declares, and the other way round."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
# The longest of these that a module's name begins with says which distribution it is of.
DISTRIBUTIONS = {
    "argcomplete": "argcomplete",
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "grpc": "opentelemetry-exporter-otlp",  # whose channels these are
    "h11": "h11",
    "h2": "h2",
    "opentelemetry": "opentelemetry-api",
    "opentelemetry.exporter.otlp": "opentelemetry-exporter-otlp",
    "opentelemetry.instrumentation": "opentelemetry-instrumentation",
    "opentelemetry.instrumentation.asgi": "opentelemetry-instrumentation-asgi",
    "opentelemetry.instrumentation.fastapi": "opentelemetry-instrumentation-fastapi",
    "opentelemetry.proto": "opentelemetry-proto",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.util.http": "opentelemetry-util-http",
    "packaging": "packaging",
    "pythonjsonlogger": "python-json-logger",
    "rich": "rich",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "wrapt": "wrapt",
}
# Upstream's launcher, and the instrumentations that nothing here imports by name.
FOR_THEIR_ENTRY_POINTS = {
    "opentelemetry-distro",
    "opentelemetry-instrumentation-httpx",
    "opentelemetry-instrumentation-redis",
}
FOR_OTHERS = {"sniffio"}  # which httpcore looks for
# The application's own, imported behind its back and only where it is there; and what is there for type checkers alone.
NOT_OURS = {"fastapi", "redis", "sitecustomize", "typing_extensions", "_typeshed"}


def imported() -> set[str]:
    found: set[str] = set()
    for path in (*ROOT.glob("configurator/**/*.py"), *ROOT.glob("entrypoint/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = {"tracebaton", "tracebaton_configurator", *NOT_OURS, *sys.stdlib_module_names}
    return {name for name in found if name.partition(".")[0] not in own}


def distribution_of(module: str) -> str:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        known = DISTRIBUTIONS.get(".".join(parts[:length]))
        if known is not None:
            return known
    pytest.fail(f"{module} is of no distribution that is known here")


def test_what_is_imported_is_declared_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    texts = [*project["dependencies"], *optional["view"], *optional["completion"]]
    declared = {re.split(r"[<>=!~; \[]", text, maxsplit=1)[0] for text in texts}
    assert {distribution_of(module) for module in imported()} | FOR_THEIR_ENTRY_POINTS | FOR_OTHERS == declared
