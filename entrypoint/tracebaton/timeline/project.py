"""Which compose project this directory is, by the labels that Compose puts on its containers."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tracebaton.timeline.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PROJECT", "SERVICE", "choose_project"]

# https://docs.docker.com/reference/compose-file/: the labels are the same in docker-compose 1.29 and Compose v2.
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
_DIRECTORY = "com.docker.compose.project.working_dir"
_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_TOP_LEVEL_NAME = re.compile(r"""^name:[ \t]*(["']?)([a-z0-9][a-z0-9_-]*)\1[ \t]*(?:#.*)?$""", re.MULTILINE)


def choose_project(
    labels: Sequence[Mapping[str, str]], *, asked: str | None, environ: Mapping[str, str], directory: Path
) -> str:
    """Return the project's name; `labels` are those of all containers. Raises SourceError if none fits.

    In this order: `asked`; COMPOSE_PROJECT_NAME; the project that was started in this directory or the nearest one
    above; the name that the compose file gives, or that Compose makes of the directory's.
    """
    known = sorted({each[PROJECT] for each in labels if each.get(PROJECT)})
    named = asked or environ.get("COMPOSE_PROJECT_NAME")
    if named:
        if named not in known:
            raise SourceError(f"there is no container of the compose project {named!r}; {_known(known)}")
        return named
    for folder in (directory, *directory.parents):
        if here := sorted({each[PROJECT] for each in labels if each.get(PROJECT) and _is_in(folder, each)}):
            if len(here) > 1:
                raise SourceError(
                    f"several compose projects were started in {folder}: {', '.join(here)}; choose one with --project"
                )
            return here[0]
        if derived := _name_by_file(folder):
            if derived in known:
                return derived
            break  # Compose looks no further up than the first compose file
    raise SourceError(f"there is no container of a compose project of {directory}; {_known(known)}")


def _is_in(folder: Path, labels: Mapping[str, str]) -> bool:
    stated = labels.get(_DIRECTORY)
    return bool(stated) and os.path.realpath(str(stated)) == os.path.realpath(folder)


def _name_by_file(folder: Path) -> str | None:
    """The name that a compose file in this folder stands for; None if there is no such file."""
    for name in _COMPOSE_FILES:
        try:
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := _TOP_LEVEL_NAME.search(text):
            return found[2]
        return re.sub(r"[^-_a-z0-9]", "", folder.name.lower()).lstrip("-_")
    return None


def _known(projects: Sequence[str]) -> str:
    if not projects:
        return "there is none of any other project either"
    shown = ", ".join(projects[:10]) + (", ..." if len(projects) > 10 else "")
    return f"projects with containers: {shown}; choose one with --project, or name log files"
