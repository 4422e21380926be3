"""What can be asked of a process, checked before anything is changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.printable import printable_text
from tracebaton_configurator.sampling.rules import RuleError

if TYPE_CHECKING:
    from tracebaton_configurator.live.control import Control

# The longest duration that any setting takes (`settings.reader`); every clock and select() call can do with it.
_LONGEST = 7 * 86400.0


class RequestError(Exception):
    """Says in a sentence, without its full stop, what is wrong with a request."""


def perform(control: Control, request: dict[str, Any]) -> list[str]:
    """Do what the request says; returns what is to be logged. Raises RequestError and has changed nothing."""
    do = request.get("do")
    if do == "status":
        return []
    if do == "on":
        control.on()
        return ["Tracing was switched on by an operator."]
    if do == "reset":
        control.reset_rules()
        return ["An operator took the sampling rules back to what the variables say."]
    if do == "off":
        seconds = _seconds_of(request)
        control.off(seconds)
        return [f"Tracing was switched off by an operator{_for(seconds)}."]
    if do == "set":
        seconds, rules = _seconds_of(request), request.get("rules")
        if not isinstance(rules, str):
            raise RequestError(f"the rules are {_shown(rules)}, which is no text")
        try:
            control.set_rules(rules, seconds)
        except RuleError as error:
            raise RequestError(str(error)) from None
        return [f"An operator set the sampling rules{_for(seconds)}: {_shown(rules)}."]
    raise RequestError(f"{_shown(do)} is not known to this version")


def _seconds_of(request: dict[str, Any]) -> float | None:
    seconds = request.get("seconds")
    if seconds is None:
        return None
    # A boolean is an int to Python, and JSON's reader knows NaN and Infinity.
    if type(seconds) not in (int, float) or not math.isfinite(seconds) or not 0 < seconds <= _LONGEST:
        raise RequestError(f"{_shown(seconds)} is no number of seconds above 0 and up to {_LONGEST:.0f}")
    return float(seconds)


def _for(seconds: float | None) -> str:
    return "" if seconds is None else f" for {seconds:g} s"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= 200 else text[:200] + "..."
    return printable_text(text)
