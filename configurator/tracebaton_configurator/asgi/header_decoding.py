"""Header bytes that upstream's ASGI instrumentation does not survive.

`_decode_header_item` (opentelemetry/instrumentation/asgi, 0.63b0 to 0.66b2) decodes what is not UTF-8 as
`unicode_escape`, which raises for some bytes, such as a stray backslash: a request with such a header name, `host` or
`user-agent` answers 500, though the application would have served it.
"""

from __future__ import annotations

from opentelemetry.instrumentation import asgi

_NAME = "_decode_header_item"


def survive_any_header() -> bool:
    """Let such bytes be read as ISO 8859-1, as ASGI frameworks do; False where the function is not to be found."""
    if not callable(getattr(asgi, _NAME, None)):
        return False
    setattr(asgi, _NAME, _decode)
    return True


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except ValueError:
        return value.decode("latin-1")
