"""Consistent probability sampling: one 56-bit number says with which probability a trace was kept.

A trace is sampled if its randomness R is at least the rejection threshold T. R belongs to the trace, so every service
that applies the same T decides alike, and T travels with the trace (`ot=th:` in tracestate), so a backend can count
each kept span as 1/p spans.
https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

from __future__ import annotations

from re import compile as regex

# The threshold that no randomness reaches. The specification has no `th` for it: "never" is not a probability.
NEVER = 1 << 56
RANDOMNESS = NEVER - 1
"""The bits of a trace id that are its randomness where it has no `rv` (W3C Trace Context Level 2, section 4.2.2)."""
_HEX_DIGITS = 14
# Five hex digits that count are 20 bits, an error of at most one in 10**5, and keep tracestate short.
_PRECISION = 5
_RV = regex(r"rv:([0-9a-f]{14})")


def threshold_of(probability: float) -> int:
    """The threshold for a probability from 0 to 1 (else ValueError): 0 for 1, `NEVER` for 0 and only for 0.

    Rounded to five hex digits, not counting leading `0` or `f`: those only say how near the probability is to 1 or
    to 0, and the specification adds them to the precision so that the relative error stays small
    ("Converting floating-point probability to threshold value"). What was rounded is what is applied and sent, so
    nothing is counted wrongly.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"A probability is between 0 and 1, not {probability}.")
    if probability == 0.0:
        return NEVER
    # Multiplying by a power of two is exact. 2**-56 is the smallest probability there is.
    kept = max(1, round(probability * NEVER))
    rejected = NEVER - kept
    if rejected == 0:
        return 0
    leading = max(_leading_zeros(rejected), _leading_zeros(kept))
    shift = 4 * max(0, _HEX_DIGITS - _PRECISION - leading)
    half = (1 << shift) >> 1
    return (rejected + half) >> shift << shift


def th_value(threshold: int) -> str:
    """The threshold as the value of `th` in tracestate: hex without trailing zeros. ValueError for `NEVER`."""
    if not 0 <= threshold < NEVER:
        raise ValueError(f"The threshold {threshold:#x} has no th value: it lies outside of 0 to 2**56-1.")
    return f"{threshold:014x}".rstrip("0") or "0"


def randomness_of(trace_id: int, ot: str | None = None) -> int:
    """R, 56 bits: `rv` of `ot` (the value of that tracestate member) if there is a valid one, else from the trace id.

    The low 56 bits of a trace id are random by W3C Trace Context Level 2, section 4.2.2.
    """
    if ot is not None and "rv:" in ot:
        for member in ot.split(";"):
            match = _RV.fullmatch(member)
            if match is not None:
                return int(match[1], 16)
    return trace_id & RANDOMNESS


def _leading_zeros(value: int) -> int:
    """How many of the 14 hex digits are 0 before the first that is not (for `NEVER - T`: how many of T's are f)."""
    return _HEX_DIGITS - (value.bit_length() + 3) // 4
