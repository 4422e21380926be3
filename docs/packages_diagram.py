"""Writes the diagram of the packages into how-it-works.md: python docs/packages_diagram.py

An arrow leads to what is imported, anywhere in the code but for type checking; what is reached through others has none.
"""

from __future__ import annotations

import ast
from pathlib import Path

DOCS = Path(__file__).parent
CONFIGURATOR = DOCS.parent / "configurator" / "tracebaton_configurator"
PAGE = DOCS / "how-it-works.md"
START, END = "<!-- made by: make docs -->\n", "<!-- end -->\n"


def imported(path: Path) -> set[str]:
    """The packages whose modules this one imports, anywhere in it but for type checking."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tracebaton_configurator":
            names = [f"{node.module}.{alias.name}".split(".")[1] for alias in node.names]
            found |= {name for name in names if (CONFIGURATOR / name).is_dir()}
        waiting += ast.iter_child_nodes(node)
    return found


def arrows() -> dict[str, set[str]]:
    """What each package imports of the others by itself."""
    packages = sorted(path.parent.name for path in CONFIGURATOR.glob("*/__init__.py"))
    direct = {
        name: set().union(*map(imported, (CONFIGURATOR / name).rglob("*.py"))) & set(packages) - {name}
        for name in packages
    }

    def reached(name: str) -> set[str]:
        return direct[name].union(*map(reached, direct[name]))

    return {name: below - set().union(*map(reached, below)) for name, below in direct.items()}


def diagram() -> str:
    """In Mermaid's language, each package with what its docstring says first."""
    lines = ["```mermaid", "graph TD"]
    found = arrows()
    for name in found:
        text = ast.get_docstring(ast.parse((CONFIGURATOR / name / "__init__.py").read_text(encoding="utf-8"))) or ""
        words = text.splitlines()[0].rstrip(".").replace("`", "").replace('"', "'")
        lines.append(f'  {name}["<b>{name}</b><br/>{words}"]')
    lines += [f"  {name} --> {below}" for name, belows in found.items() for below in sorted(belows)]
    return "\n".join([*lines, "```", ""])


def page() -> str:
    """how-it-works.md with the diagram made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return before + START + diagram() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
