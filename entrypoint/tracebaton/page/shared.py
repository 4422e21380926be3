"""A trace as one HTML file that opens without the tool: the page's own modules and styles, and the data.

A browser loads no modules from file://, so they are joined into one script, in the order in which they import each
other. That takes two things of them, which the tests hold them to: an import names what it takes and renames nothing,
and no two modules of the file have a name at their top in common.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

__all__ = ["shared_html"]

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function |const |class )", re.MULTILINE)
_STYLES = ("base.css", "views.css")
_ENTRY = "shared.js"
# What ends a script, begins a comment in one, or ends a line in JavaScript but not in JSON.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def shared_html(trace: dict[str, Any]) -> bytes:
    """The file for a trace, given as `/api/trace/<id>` gives it; UTF-8.

    Its own content security policy allows its one script and its one style sheet by their hashes, and no request at
    all. What the trace holds is JSON in a block that no browser runs, with every `<` and `>` escaped. A lone surrogate,
    which UTF-8 cannot hold, is escaped like every character outside ASCII.
    """
    script, style = _script(), _style()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(trace, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
    title = escape(_title(trace))
    page = _PAGE.format(policy=policy, title=title, style=style, data=data, script=script)
    return page.encode("utf-8", "replace")


def _title(trace: dict[str, Any]) -> str:
    spans = trace.get("spans") or [{}]
    known = {span.get("span_id") for span in spans}
    root = next((span for span in spans if span.get("parent_span_id") not in known), spans[0])
    return f"{root.get('name', 'trace')!s:.120} · {str(trace.get('trace_id', ''))[:8]}"


@cache
def _script() -> str:
    text = "\n".join(_EXPORT.sub("", _IMPORT.sub("", _read(name))) for name in _in_order(_ENTRY, []))
    return f'\n"use strict";\n(() => {{\n{text}\n}})();\n'


def _in_order(name: str, done: list[str]) -> list[str]:
    """The module and those that it imports, each after what it needs itself; they import each other in no circle."""
    for needed in _IMPORT.findall(_read(name)):
        if needed not in done:
            _in_order(needed, done)
    done.append(name)
    return done


@cache
def _style() -> str:
    return "\n" + "\n".join(_read(name) for name in _STYLES)


@cache
def _read(name: str) -> str:
    return files(__package__).joinpath("static").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression of Content Security Policy Level 3 for an inline element with this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header class="top">
<span class="brand"><svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">\
<path class="brand-far" d="M13 5h8"/><path class="brand-baton" d="M7 12h10"/><path class="brand-near" d="M3 19h8"/>\
</svg>\
<span>tracebaton</span></span>
<span class="note">a shared trace</span>
<button type="button" class="quiet icon" id="help-button" aria-label="Keyboard help" aria-haspopup="dialog">?</button>
</header>
<main id="main" tabindex="-1"></main>
<div id="announcer" class="hidden" role="status" aria-live="polite"></div>
<noscript><p class="notice">This file is drawn by the script that it contains.</p></noscript>
<script type="application/json" id="trace-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
