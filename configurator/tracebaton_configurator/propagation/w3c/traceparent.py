"""`traceparent`: the header that says which trace a request belongs to and which span called.

https://www.w3.org/TR/trace-context-2/#traceparent-header
"""

from __future__ import annotations

from re import compile as regex

SAMPLED = 0x01
RANDOM_TRACE_ID = 0x02
# "The behavior of other flags is not defined [...] Vendors MUST set those to zero" (section "Other Flags").
KNOWN_FLAGS = SAMPLED | RANDOM_TRACE_ID

# Version 00 has 55. What a later version may append is unknown, so the bound is upstream's: room for growth, not for
# a flood ("only disallow prohibitively large headers", section "Versioning of traceparent").
MAX_LENGTH = 512

# The lookaheads refuse what is well-formed and forbidden: version ff and ids that are all zero. What follows the flags
# of a version above 00 starts with a dash and is not interpreted.
_TRACEPARENT = regex(
    rb"[ \t]*(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[\t\x20-\x7e]*)?[ \t]*"
).fullmatch


def parse_traceparent(value: bytes) -> tuple[int, int, int] | None:
    """Trace id, span id and flags of one header value; None where the specification wants the trace restarted.

    Of the flags only `KNOWN_FLAGS` are kept. Surrounding spaces and tabs are ignored, as for any header
    (RFC 9110, 5.6.3). Never raises.
    """
    if len(value) > MAX_LENGTH:
        return None
    match = _TRACEPARENT(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if rest is not None and version == b"00":
        return None
    return int(trace_id, 16), int(span_id, 16), int(flags, 16) & KNOWN_FLAGS


def format_traceparent(trace_id: int, span_id: int, flags: int) -> str:
    """The header value, in version 00 and with unknown flags set to zero. The ids are valid: positive, and in range."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & KNOWN_FLAGS:02x}"
