"""Lists of regular expressions that OpenTelemetry compiles: URLs to leave out, headers to record, headers to hide.

A part that is none, such as the glob `*health*`, costs the whole instrumentation that reads it, or fails each request
whose headers are recorded. How it is mended depends on what the list is for: whoever leaves out or hides is not to see
more recorded for a mistake, and whoever records is to get less.

Checked with opentelemetry-util-http 0.63b0 to 0.66b2 (`ExcludeList`, `SanitizeValue`), which join the parts with `|`:
so an empty part, as behind a comma at the end, matches everything. It is taken out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracebaton_configurator.settings.reader import Reader

    Changes = dict[str, str | None]

_URLS = re.compile(r"OTEL_PYTHON_(?:[A-Z0-9_]+_)?EXCLUDED_URLS")
_HEADERS = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
_HIDDEN = f"{_HEADERS}SANITIZE_FIELDS"
_OF_HEADERS = re.compile(rf"{_HEADERS}\w+")
_ACCEPTED = "regular expressions, separated by commas"
_FLAGS = re.compile(r"\(\?([aimsux]+)\)(.+)", re.DOTALL)


def judge_patterns(reader: Reader, changes: Changes) -> None:
    """Put what is to stand in the environment into `changes`."""
    for variable in reader.names_like(_URLS):
        text = reader.text(variable)
        if text is not None:
            changes[variable] = ",".join(_patterns(reader, variable, text, literal=True))
    for variable in reader.names_like(_OF_HEADERS):
        text = reader.text(variable)
        if text is None:
            continue
        parts = _patterns(reader, variable, text, literal=False)
        if variable == _HIDDEN and any(problem.variable == variable for problem in reader.problems):
            parts = [".*"]
        changes[variable] = ",".join(parts) or None


def _patterns(reader: Reader, variable: str, text: str, *, literal: bool) -> list[str]:
    """The parts that can be compiled together; others as literal text in which `*` stands for anything, or not at all.

    Of the list of what is to be hidden nothing is certain then, and the caller has all of it hidden.
    """
    right: list[str] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        error = _error(right, part)
        flags = _FLAGS.fullmatch(part)
        if error and flags and not _error(right, f"(?{flags[1]}:{flags[2]})"):
            # Right by itself, and since Python 3.11 an error behind another.
            right.append(f"(?{flags[1]}:{flags[2]})")
        elif not error:
            right.append(part)
        elif literal:
            meant = re.escape(part).replace(r"\*", ".*").replace(r"\-", "-").replace(r"\ ", " ")
            effect = f"it is read as text, with * for anything, which is the expression {meant!r}"
            reader.wrong(variable, f"is not a list of regular expressions ({part!r}: {error})", _ACCEPTED, effect)
            right.append(meant)
        else:
            effect = "all recorded headers are hidden" if variable == _HIDDEN else "it is left out"
            reader.wrong(variable, f"is not a list of regular expressions ({part!r}: {error})", _ACCEPTED, effect)
    return right


def _error(before: list[str], part: str) -> str:
    """Why `part` cannot be compiled behind the others; empty where it can."""
    import warnings

    try:
        with warnings.catch_warnings():
            # Python 3.10 warns where 3.11 refuses: flags that are not at the start.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DeprecationWarning)
            re.compile(part)
            re.compile("|".join([*before, part]))
    except (re.error, DeprecationWarning, OverflowError, RecursionError) as error:
        return str(error) or type(error).__name__
    return ""
