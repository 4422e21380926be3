"""What a text format shows beside the message: fields of the record, defaults of its own, and words.

All of it becomes fields of the JSON line, under short names. `key=value` in the format is a field, other words are the
field `literal`; a label in front of a field, as in `pid=%(process)d`, is none.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.events import without_colours
from tracebaton_configurator.logs.named_ids import OTEL_NAMES
from tracebaton_configurator.logs.shown import is_word_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton_configurator.logs.formatter import JsonLines

# As attributes of a LogRecord and as fields.
NAMES = {
    "process": "pid", "processName": "process_name", "thread": "thread", "threadName": "thread_name",
    "taskName": "task", "pathname": "path", "filename": "file", "module": "module", "lineno": "line",
    "funcName": "function", "levelno": "levelno", "relativeCreated": "relativeCreated",
}  # fmt: skip
# As loguru's formats write them: the field, and where it is in the record.
_OF_LOGURU = {
    "process": ("pid", "id"), "process.id": ("pid", "id"), "process.name": ("process_name", "name"),
    "thread": ("thread", "id"), "thread.id": ("thread", "id"), "thread.name": ("thread_name", "name"),
    "file": ("file", "name"), "file.name": ("file", "name"), "file.path": ("path", "path"),
    "line": ("line", ""), "function": ("function", ""), "module": ("module", ""), "elapsed": ("elapsed", ""),
}  # fmt: skip
_OURS = frozenset(("timestamp", "level", "logger", "message", "service.name", "trace_id", "span_id", "trace_flags"))
_FIELDS = {
    "%": re.compile(r"%(?:\((?P<name>[^)]*)\)[#0 +\-]*[\d*]*(?:\.[\d*]+)?[a-zA-Z]|%)"),
    "$": re.compile(r"\$(?:(?P<name>\w+)|\{(?P<braced>\w+)\}|\$)"),
}
_LABEL = re.compile(r"[\w.\-]+\s*[=:]\s*[\"'(\[<]*$")
_PAIR = re.compile(r"(?P<name>[A-Za-z_][\w.\-]*)=(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;|\])>]+)")
_WORD = re.compile(r"\w[\w./@\-]*\w")
_MOST_FORMATS = 256

Parts = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]
_known: dict[tuple[type, str], Parts] = {}
_NOTHING: Parts = ((), ())
# Most formats: those that show nothing beside the message, with the style that each is in.
empty: dict[str, type] = {}


def of(formatter: Any, fields: dict[str, Any], json_lines: JsonLines, text: str | None = None) -> str:
    """What the formatter's format shows of a record with these fields, as JSON, a comma before each. Never raises.

    `text`: what a formatter has made that may hide something; only what it shows word for word is said.
    """
    try:
        style = formatter._style  # noqa: SLF001 (no other way to see the format)
        text_format = style._fmt  # noqa: SLF001
        parts = _known.get((type(style), text_format))
        if parts is None:
            parts = _remember(type(style), text_format)
        if parts is _NOTHING:
            return ""
        names, literals = parts
        defaults = getattr(style, "_defaults", None) or {}
        made: dict[str, Any] = {}
        logged = fields.get("msg")
        taken = fields.keys() | logged.keys() if isinstance(logged, dict) else fields.keys()
        for name in names:
            short = NAMES.get(name)
            if short is not None:
                shown_as = short if short not in taken or short == name else name
                if fields.get(name) is not None and (not isinstance(logged, dict) or shown_as not in logged):
                    made[shown_as] = fields[name]
            elif name in defaults and name not in taken and name not in _OURS:
                made[name] = json_lines.extras.shown(name, defaults[name])
        for name, value in literals:
            if name not in taken and name not in made:
                made[name] = json_lines.extras.shown(name, value)
    except Exception:  # noqa: BLE001 (whatever has a method `format` may be a formatter)
        return ""
    return json_lines.more({name: value for name, value in made.items() if text is None or _is_shown(value, text)})


def of_loguru(text_format: str, record: dict[str, Any], json_lines: JsonLines, text: str | None = None) -> str:
    """The same for a format of loguru's."""
    try:
        parts = _known.get((Formatter, text_format)) or _remember(Formatter, text_format)
        names, literals = parts
        made: dict[str, Any] = {}
        for name in names:
            short, attribute = _OF_LOGURU.get(name, ("", ""))
            if short and short not in record["extra"]:
                value = record[name.partition(".")[0]]
                value = getattr(value, attribute) if attribute else value
                made[short] = value if isinstance(value, (str, int)) else str(value)
        for name, value in literals:
            if name not in record["extra"] and name not in made:
                made[name] = json_lines.extras.shown(name, value)
    except Exception:  # noqa: BLE001 (a format that loguru itself fails at)
        return ""
    return json_lines.more({name: value for name, value in made.items() if text is None or _is_shown(value, text)})


def _is_shown(value: Any, text: str) -> bool:
    return all(is_word_in(word, text) for word in str(value).split())


def _remember(kind: type, text_format: Any) -> Parts:
    parts = _NOTHING
    if type(text_format) is str:
        found = _parse(kind, text_format)
        if any(found):
            parts = found
    if len(_known) >= _MOST_FORMATS:
        _known.clear()
        empty.clear()
    if parts is _NOTHING:
        empty[text_format] = kind
    _known[kind, text_format] = parts
    return parts


def _parse(kind: type, text_format: str) -> Parts:
    names: list[str] = []
    literals: dict[str, str] = {}
    words: list[str] = []
    for literal, name in _pieces(kind, without_colours(text_format)):
        rest = _LABEL.sub("", literal) if name else literal
        for pair in _PAIR.finditer(rest):
            if pair["name"] not in _OURS:
                literals[pair["name"]] = pair["value"].strip("\"'")
        words += _WORD.findall(_PAIR.sub(" ", rest))
        if name and name not in OTEL_NAMES:
            names.append(name)
    if words:
        literals["literal"] = " ".join(words)
    wanted = tuple(name for name in dict.fromkeys(names) if kind is Formatter or name not in _SAID)
    if kind is Formatter:
        wanted = tuple(name for name in wanted if name in _OF_LOGURU)
    return wanted, () if text_format.lstrip().startswith('{"') else tuple(literals.items())


_SAID = frozenset(("message", "asctime", "levelname", "name", "created", "msecs", "exc_info", "exc_text", "stack_info"))


def _pieces(kind: type, text_format: str) -> Iterator[tuple[str, str]]:
    """Each text before a field with the field's name; the last has none."""
    if kind is Formatter or kind.__name__ == "StrFormatStyle":
        for literal, name, _, _ in Formatter().parse(re.sub(r"</?[^<>{}\s]*>", "", text_format)):
            yield literal, name or ""
        return
    start = 0
    for match in _FIELDS["$" if kind.__name__ == "StringTemplateStyle" else "%"].finditer(text_format):
        found = match.groupdict()
        name = found["name"] or found.get("braced")
        if name:
            yield text_format[start : match.start()], name
            start = match.end()
    yield text_format[start:], ""
