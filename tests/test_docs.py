"""README and docs: links lead somewhere, commands exist with the options that are shown, the reference is complete."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest

from tracebaton.cli import _COMMANDS
from tracebaton_configurator import environment_variables
from tracebaton_configurator.settings import read_settings

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import packages_diagram
import settings_table

ROOT = Path(__file__).parents[1]
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Beside those, what is for who changes the code or builds images.
OTHERS = [ROOT / "CONTRIBUTING.md", *(ROOT / where / "README.md" for where in ("bench", "docker"))]
MOST_WORDS = 1300
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# What stands before a command in the places where they are shown.
_BEFORE = re.compile(r"^(?:docker (?:compose )?exec \S+ |exec |docker compose logs \| )")


def pages() -> list[pytest.param]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in PAGES + OTHERS]


def commands(path: Path, program: str) -> list[list[str]]:
    """The words behind this program, of each line that is indented as code and of each text between back quotes."""
    text = re.sub(r"\\\n +", "", path.read_text(encoding="utf-8"))  # a command on two lines
    shown = [*re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)]
    found = []
    for one in shown:
        match = re.match(rf"{re.escape(program)} ([a-z].*)", _BEFORE.sub("", one))
        if match is not None:
            found.append(shlex.split(match[1], comments=True))
    return found


@pytest.mark.parametrize("path", pages())
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = _LINK.findall(page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links if not link.startswith("http")]
    assert set(PAGES) <= reached


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS


@pytest.mark.parametrize("path", pages())
def test_what_make_is_asked_for_is_a_target(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(path, "make"):
        assert words[0] in targets, words


@pytest.mark.parametrize("path", pages())
def test_what_pip_is_to_install_is_there(path: Path) -> None:
    """Paths lead to the project, extras are the project's."""
    extras = set(metadata.metadata("tracebaton").get_all("Provides-Extra"))
    for words in [*commands(path, "pip"), *commands(path, "RUN pip")]:
        for word in words:
            ours = re.fullmatch(r"(?:[./\w-]*/)?tracebaton(?:\[([\w,]+)\])?", word)
            assert ours is None or not ours[1] or set(ours[1].split(",")) <= extras, words


@pytest.mark.parametrize("path", pages())
def test_files_that_docker_builds_from_exist(path: Path) -> None:
    for words in commands(path, "docker"):
        for option, value in pairwise(words):
            assert option != "-f" or (ROOT / value).is_file(), words


@cache
def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tracebaton", command, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("path", pages())
def test_commands_of_tracebaton_exist_with_their_options(path: Path) -> None:
    for words in commands(path, "tracebaton"):
        assert words[0] in _COMMANDS, words
        # What is started is another program's business.
        options = words[1 : words.index("tracebaton")] if "tracebaton" in words else words[1:]
        for option in options if words[0] != "run" else []:
            if option.startswith("--"):
                assert option in help_of(words[0]), words


@pytest.mark.parametrize("path", pages())
def test_programs_of_the_bench_exist(path: Path) -> None:
    for name in re.findall(r"bench/(\w+\.py)", path.read_text(encoding="utf-8")):
        assert (ROOT / "bench" / name).exists(), name


def own_variables() -> set[str]:
    return {name for name in vars(environment_variables) if name.startswith("OTEL_TRACEBATON_")}


def test_the_reference_is_made_of_what_the_code_says() -> None:
    assert settings_table.PAGE.read_text(encoding="utf-8") == settings_table.page(), "make docs"
    assert {one.name for one in settings_table.variables()} == own_variables()


def test_the_diagram_is_made_of_the_code() -> None:
    assert packages_diagram.PAGE.read_text(encoding="utf-8") == packages_diagram.page(), "make docs"
    assert "  startup --> " in packages_diagram.diagram()
    assert "  patching --> " not in packages_diagram.diagram()


def standard() -> list[tuple[str, str]]:
    """The standard variables in the first table whose default is one value."""
    rows = re.findall(r"^\| (`OTEL_[^|]*) \| ((?:`[^`]*`(?:, | ms, )?)+)[ ;][^|]*\|$", SETTINGS, re.MULTILINE)
    found = []
    for names, defaults in rows:
        first, *others = re.findall(r"`(\w+)`", names)
        stem = first[: -len("_SCHEDULE_DELAY")]
        whole = [first, *(other if other.startswith("OTEL_") else stem + other for other in others)]
        found += list(zip(whole, re.findall(r"`([^`]*)`", defaults), strict=False))
    return found


def test_defaults_of_standard_variables_are_read_from_the_page() -> None:
    assert {
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2048"),
        ("OTEL_SDK_DISABLED", "false"),
    } <= set(standard())


@pytest.mark.parametrize(
    ("name", "default"),
    [*standard(), *[one[:2] for one in settings_table.variables() if one.default != settings_table.UNSET]],
)
def test_the_defaults_are_as_documented(name: str, default: str) -> None:
    """Who writes a default into the environment changes nothing, and does nothing wrong."""
    base = {"OTEL_TRACEBATON_SPOOL_DIR": "/var/spool/tracebaton"}  # without it, its size would be of no use
    unset = read_settings(base, ["uvicorn", "main:app"], "/app")
    given = read_settings({**base, name: default}, ["uvicorn", "main:app"], "/app")
    assert given.problems == unset.problems == ()
    assert replace(given, given=frozenset()) == replace(unset, given=frozenset())


@pytest.mark.parametrize("path", pages())
def test_variables_that_are_named_exist(path: Path) -> None:
    for name in re.findall(r"\bOTEL_TRACEBATON_\w+", path.read_text(encoding="utf-8")):
        assert name in own_variables(), name
