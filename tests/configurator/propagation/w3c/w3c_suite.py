"""What the W3C's validation service asks at SPEC_LEVEL=2 STRICT_LEVEL=2, its 41 cases in this project's words.

https://github.com/w3c/trace-context/tree/main/test. Since its revision of June 2026 the suite follows Level 2 for keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tracebaton_configurator.propagation.w3c.traceparent import RANDOM_TRACE_ID, parse_traceparent
from tracebaton_configurator.propagation.w3c.tracestate import parse_tracestate

Headers = list[tuple[str, str]]
Call = Callable[[Headers, int], list[dict[str, str]]]
"""Asks the service with these headers to make so many calls; what was sent with each of them."""

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@dataclass
class Exchange:
    """A request with these headers goes on with TRACE or starts its own, and has exactly this tracestate."""

    headers: Headers
    continued: bool
    state: dict[str, str] = field(default_factory=dict)
    calls: int = 1
    flags: int = 0


def restarts(*values: str, name: str = "traceparent", calls: int = 1) -> list[Exchange]:
    return [Exchange([(name, value)], continued=False, calls=calls) for value in values]


def continues(*values: str, name: str = "traceparent", calls: int = 1, flags: int = 0) -> list[Exchange]:
    return [Exchange([(name, value)], continued=True, calls=calls, flags=flags) for value in values]


def state(*values: str, name: str = "tracestate", **kept: str) -> Exchange:
    return Exchange([("traceparent", PARENT), *((name, value) for value in values)], continued=True, state=kept)


def state_of(pairs: dict[str, str], *values: str) -> Exchange:
    return Exchange(
        [("traceparent", PARENT), *(("tracestate", value) for value in values)], continued=True, state=pairs
    )


KEY_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
VALUE_CHARACTERS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")
NUMBERED = {f"k{number}": str(number) for number in range(33)}
PAIRS = [f"{key}={value}" for key, value in NUMBERED.items()]
THREE = {"foo": "1", "bar": "2", "baz": "3"}

CASES: dict[str, list[Exchange]] = {
    "no headers": [Exchange([], continued=False)],
    "traceparent alone": continues(PARENT),
    "traceparent twice": [
        Exchange([("traceparent", PARENT), ("traceparent", f"00-{'7' * 32}-{SPAN}-01")], continued=False),
        Exchange([("traceparent", PARENT), ("traceparent", PARENT)], continued=False),
    ],
    "traceparent under another name": [
        *restarts(PARENT, name="trace-parent"),
        *restarts(PARENT, name="trace.parent"),
    ],
    "traceparent's name in any case": [
        *continues(PARENT, name="TraceParent"),
        *continues(PARENT, name="tRaCePaReNt"),
        *continues(PARENT, name="TRACEPARENT"),
    ],
    "version 00 is 55 characters": restarts(f"{PARENT}.", f"{PARENT}-", f"{PARENT}-more-to-come"),
    "a later version may have more after a dash": [
        *continues(f"cc{PARENT[2:]}", f"cc{PARENT[2:]}-more-to-come", f"cc{PARENT[2:]}-"),
        *restarts(f"cc{PARENT[2:]}.more-to-come", f"cc{PARENT[2:]}0", f"cc{PARENT[2:-1]}"),
    ],
    "version ff": restarts(f"ff{PARENT[2:]}"),
    "version with illegal characters": restarts(f".0{PARENT[2:]}", f"0.{PARENT[2:]}", f"0A{PARENT[2:]}"),
    "version too long": restarts(f"0{PARENT}", f"00{PARENT}"),
    "version too short": restarts(PARENT[1:]),
    "trace id all zero": restarts(f"00-{'0' * 32}-{SPAN}-01"),
    "trace id with illegal characters": restarts(
        f"00-.{TRACE[1:]}-{SPAN}-01", f"00-{TRACE[:-1]}.-{SPAN}-01", f"00-{TRACE.upper()}-{SPAN}-01"
    ),
    "trace id too long": restarts(f"00-{TRACE}0-{SPAN}-01"),
    "trace id too short": restarts(f"00-{TRACE[1:]}-{SPAN}-01"),
    "span id all zero": restarts(f"00-{TRACE}-{'0' * 16}-01"),
    "span id with illegal characters": restarts(
        f"00-{TRACE}-.{SPAN[1:]}-01", f"00-{TRACE}-{SPAN[:-1]}.-01", f"00-{TRACE}-{SPAN.upper()}-01"
    ),
    "span id too long": restarts(f"00-{TRACE}-{SPAN}0-01"),
    "span id too short": restarts(f"00-{TRACE}-{SPAN[1:]}-01"),
    "flags with illegal characters": restarts(f"{PARENT[:-2]}.0", f"{PARENT[:-2]}0.", f"{PARENT[:-2]}0A"),
    "flags too long": restarts(f"{PARENT}0"),
    "flags too short": restarts(PARENT[:-1]),
    "white space around traceparent": continues(
        f" {PARENT}", f"\t{PARENT}", f"{PARENT} ", f"{PARENT}\t", f"\t {PARENT} \t"
    ),
    "tracestate without traceparent": [
        *restarts("foo=1", name="tracestate"),
        *restarts("foo=1,bar=2", name="tracestate"),
    ],
    "tracestate with traceparent": [state("foo=1,bar=2", foo="1", bar="2")],
    "tracestate under another name": [state("foo=1", name="trace-state"), state("foo=1", name="trace.state")],
    "tracestate's name in any case": [
        state("foo=1", name="TraceState", foo="1"),
        state("foo=1", name="tRaCeStAtE", foo="1"),
        state("foo=1", name="TRACESTATE", foo="1"),
    ],
    "empty tracestate": [
        state(""),
        state("foo=1", "", foo="1"),
        state("", "foo=1", foo="1"),
        state(",,foo=1, ", foo="1"),
    ],
    "several tracestate headers": [
        state_of({"foo": "1", "bar": "2", "one": "3", "two": "4", "last": "5"}, "foo=1,bar=2", "one=3,two=4", "last=5")
    ],
    "a key twice keeps its first value": [
        state("foo=1,foo=1", foo="1"),
        state("foo=1,foo=2", foo="1"),
        state("foo=1", "foo=1", foo="1"),
        state("foo=1", "foo=2", foo="1"),
    ],
    "every legal character": [
        state_of({KEY_CHARACTERS: VALUE_CHARACTERS}, f"{KEY_CHARACTERS}={VALUE_CHARACTERS}"),
        state_of({f"{KEY_CHARACTERS}@a-z0_*/": "1"}, f"{KEY_CHARACTERS}@a-z0_*/=1"),
    ],
    "white space around members": [
        state("foo=1 \t , \t bar=2, \t baz=3", **THREE),
        state("foo=1\t \t,\t \tbar=2,\t \tbaz=3", **THREE),
        *(state(text, foo="1") for text in (" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t", "\t foo=1 \t")),
    ],
    "illegal characters in a key": [state("foo =1"), state("FOO=1"), state("foo.bar=1")],
    "an at sign anywhere but first": [
        state_of({"foo@": "1", "bar": "2"}, "foo@=1,bar=2"),
        state("@foo=1,bar=2"),
        state_of({"foo@@bar": "1", "bar": "2"}, "foo@@bar=1,bar=2"),
        state_of({"foo@bar@baz": "1", "bar": "2"}, "foo@bar@baz=1,bar=2"),
    ],
    "32 members and not 33": [
        state_of(
            dict(list(NUMBERED.items())[:32]), *(",".join(PAIRS[at : min(at + 10, 32)]) for at in (0, 10, 20, 30))
        ),
        state(*(",".join(PAIRS[at : at + 10]) for at in (0, 10, 20, 30))),
    ],
    "256 characters of key and not 257": [
        state_of({"foo": "1", "z" * 256: "1"}, "foo=1", "z" * 256 + "=1"),
        state("foo=1", "z" * 257 + "=1"),
        state_of({"foo": "1", "t" * 241 + "@" + "v" * 14: "1"}, "foo=1", "t" * 241 + "@" + "v" * 14 + "=1"),
        state_of({"foo": "1", "t" * 242 + "@v": "1"}, "foo=1", "t" * 242 + "@v=1"),
        state_of({"foo": "1", "t@" + "v" * 15: "1"}, "foo=1", "t@" + "v" * 15 + "=1"),
    ],
    "illegal values": [state("foo=bar=baz"), state("foo=,bar=3"), state("foo=b\tr,bar=3")],
    "three calls with a parent": continues(PARENT, calls=3),
    "three calls without": [Exchange([], continued=False, calls=3)],
    "three calls with an illegal parent": restarts(f"00-{'0' * 32}-{SPAN}-01", calls=3),
    "the random flag travels on": [
        *continues(f"{PARENT[:-2]}02", f"{PARENT[:-2]}03", flags=RANDOM_TRACE_ID),
    ],
}
# FACTS of the field: what makes this room necessary.
UPSTREAM_FAILS = {
    "traceparent twice",
    "a key twice keeps its first value",
    "an at sign anywhere but first",
    "256 characters of key and not 257",
}


def judge(exchange: Exchange, call: Call) -> list[str]:
    """What is wrong with the headers that the service sent."""
    sent = call(exchange.headers, exchange.calls)
    parents = [parse_traceparent(headers["traceparent"].encode()) for headers in sent]
    states = [parse_tracestate([headers.get("tracestate", "").encode()]) for headers in sent]
    failures = []
    for trace_id, span_id, flags in (parent or (0, 0, 0) for parent in parents):
        if trace_id == 0 or (trace_id == int(TRACE, 16)) is not exchange.continued or span_id == int(SPAN, 16):
            failures.append(f"{exchange.headers}: went on with {trace_id:032x}-{span_id:016x}")
        if flags & exchange.flags != exchange.flags:
            failures.append(f"{exchange.headers}: lost a flag of {exchange.flags:02x}, has {flags:02x}")
    if len({parent[1] for parent in parents if parent}) != exchange.calls:
        failures.append(f"{exchange.headers}: {parents} are not {exchange.calls} different spans")
    failures += [
        f"{exchange.headers}: sent {found}" for found in states if [*found.items()] != [*exchange.state.items()]
    ]
    return failures
