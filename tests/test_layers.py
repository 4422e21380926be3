"""Which package may import which: the map in CONTRIBUTING.md, and no circle."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from packages_diagram import CONFIGURATOR, imported

ROOT = Path(__file__).parents[1]
# Each may import those behind it, and the loose modules at the top that import nothing themselves.
BELOW = {
    "startup": {
        *("live", "asgi", "coexist", "export", "propagation", "sampling", "redaction", "logs", "settings", "patching"),
    },
    "live": {"sampling", "logs", "patching"},
    "asgi": {"propagation", "sampling", "redaction", "logs", "patching"},
    "coexist": {"redaction", "logs", "patching"},
    "propagation": {"sampling", "redaction", "logs", "patching"},
    "export": {"logs", "patching"},
    "sampling": {"logs"},
    "redaction": {"logs"},
    "logs": {"settings", "patching"},
    "settings": {"patching"},
    "patching": set(),
}  # fmt: skip


def test_every_package_has_its_place() -> None:
    packages = {path.parent.name for path in CONFIGURATOR.glob("*/__init__.py")}
    assert packages == set(BELOW)


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    for path in (CONFIGURATOR / package).rglob("*.py"):
        assert imported(path) - {package} <= BELOW[package], path


def test_there_is_no_circle() -> None:
    left = dict(BELOW)
    while left:
        free = [name for name, below in left.items() if not below & left.keys()]
        assert free, left
        for name in free:
            del left[name]


def test_what_runs_in_an_application_imports_nothing_of_the_commands() -> None:
    for path in CONFIGURATOR.rglob("*.py"):
        assert "tracebaton." not in {f"{word}." for word in _modules(path)}, path


def _modules(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    from_ones = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in from_ones | plain}


def is_private(name: str) -> bool:
    """OpenTelemetry's packages for logs have a stable name that looks like a private one."""
    return any(part[0] == "_" and part[:2] != "__" and part != "_logs" for part in name.split("."))


def test_private_names_of_others_are_imported_in_modules_for_that_only() -> None:
    """So that whoever checks another release of a library knows where to look."""
    found = [
        f"{path.relative_to(CONFIGURATOR)}: {name}"
        for path in CONFIGURATOR.rglob("*.py")
        if not path.name.startswith("upstream")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.partition(".")[0] not in {*sys.stdlib_module_names, "tracebaton_configurator"}
        for alias in node.names
        if is_private(name := f"{node.module}.{alias.name}")
    ]
    assert found == ["distro.py: opentelemetry.util._importlib_metadata.EntryPoint"]  # for type checking
