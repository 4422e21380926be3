"""What is recorded: the sampler and the rules in words, and which rule decides about a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, nearest, ok, warning
from tracebaton.doctor.secrets import shown
from tracebaton_configurator.names import NAME
from tracebaton_configurator.sampling.rules import KINDS, Rule, RuleError, effective_rules, parse_rules
from tracebaton_configurator.sampling.rules import SERVER as REQUESTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.sampling.rules import Rate

__all__ = ["check"]

_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
_EXAMPLE = "such as 'POST /chat=1, GET /health*=0, *=10/s+10%'"


def check(situation: Situation) -> Iterator[Finding]:
    here = situation.settings
    if here.disabled:
        yield ok("nothing is recorded, as OTEL_SDK_DISABLED=true")
        return
    if here.sampler.lower() == NAME:
        yield from _by_rules(here.sampler_arg, situation.explain)
        return
    from tracebaton_configurator.sampling.standard import SamplerError, build_standard

    try:
        build_standard(here.sampler, here.sampler_arg)
    except SamplerError as problem:
        value = here.sampler_arg if problem.variable == _ARGUMENT else here.sampler
        hint = nearest(here.sampler, problem.accepted.split(", ")) if problem.variable != _ARGUMENT else ""
        is_rules = problem.variable == _ARGUMENT and _are_rules(value or "")
        yield error(
            f"{shown(problem.variable, value or '')} {problem}{hint}: accepted is {problem.accepted}; "
            + ("the default rules apply" if problem.variable == _ARGUMENT else "no request is recorded"),
            "unset OTEL_TRACES_SAMPLER: rules are for the sampler tracebaton"
            if is_rules
            else f"correct {problem.variable}",
        )
        if problem.variable == _ARGUMENT:
            yield from _by_rules(None, situation.explain)
        return
    yield _standard(here.sampler, here.sampler_arg)
    for request in situation.explain:
        yield ok(f"{request}: the sampler {here.sampler} decides, the same for every request")


def _standard(sampler: str, argument: str | None) -> Finding:
    """One of the specification's samplers, in words; for one of somebody else's, its name."""
    lowered = sampler.lower()
    root = lowered.removeprefix("parentbased_")
    words = {
        "always_on": "every request is recorded",
        "always_off": "no request is recorded",
        "traceidratio": f"{_percent(float(argument)) if argument else 'every one'} of all requests are recorded",
    }.get(root)
    if words is None:
        return ok(f"the sampler {sampler}, of another package, decides")
    if lowered.startswith("parentbased_"):
        return ok(f"sampler {sampler}: what has a parent follows it; of what has none, {words}")
    return warning(
        f"sampler {sampler}: {words}, whatever the caller has decided, so a trace can have holes",
        f"OTEL_TRACES_SAMPLER=parentbased_{lowered} keeps traces whole",
    )


def _by_rules(argument: str | None, explain: Sequence[str]) -> Iterator[Finding]:
    try:
        rules = effective_rules(argument)
    except RuleError as problem:
        yield error(
            f"{shown(_ARGUMENT, argument or '')} is wrong in {problem}. The default rules apply",
            f"write rules {_EXAMPLE}",
        )
        argument = None
        rules = effective_rules(None)
    own = len(parse_rules(argument)) if argument is not None else 0
    catch_all: int | None = None
    for number, rule in enumerate(rules, 1):
        origin = "" if number <= own else ", by default"
        if catch_all is None:
            yield ok(f"rule {number}, {rule}: {_in_words(rule)}{origin}")
        elif number <= own:
            yield warning(
                f"rule {number}, {rule}, is never reached: the first that matches decides, and rule {catch_all} "
                "matches everything",
                f"write it before rule {catch_all}",
            )
        if rule.kind is None and catch_all is None:
            catch_all = number
    for request in explain:
        yield _explained(request, rules, own)


def _explained(request: str, rules: Sequence[Rule], own: int) -> Finding:
    word, _, rest = request.strip().partition(" ")
    rest = rest.strip()
    if word.startswith("/"):
        word, rest = "GET", request.strip()
    word = word.upper()
    if not rest:
        return error(
            f"--explain {request!r} is no request", "write a method and a path, 'POST /chat', or a kind and a name"
        )
    if word in KINDS:
        matches = [rule.matches_span(word, rest) for rule in rules]
    else:
        matches = [rule.matches_request(word, rest.partition("?")[0]) for rule in rules]
    number = matches.index(True) + 1
    rule = rules[number - 1]
    whose = "" if number <= own else " of the defaults"
    return ok(f"{word} {rest}: rule {number}{whose} decides, {rule}: {_in_words(rule)}. What has a parent follows it")


def _in_words(rule: Rule) -> str:
    if rule.kind is None:
        what = "everything else"
    elif rule.kind == REQUESTS:
        what = f"{rule.method or 'requests'}{' requests' if rule.method else ''} to {rule.pattern}"
    else:
        what = f"{rule.kind} spans without a parent" + ("" if rule.pattern == "*" else f" called {rule.pattern}")
    return f"of {what}, {_rate(rule.rate)}"


def _rate(rate: Rate) -> str:
    if rate.per_second is None:
        share = rate.probability or 0.0
        return "none" if share == 0 else "all" if share == 1 else _percent(share)
    if rate.per_second == 0 and not rate.probability:
        return "none"
    first = f"the first {rate.per_second:g} of every second of each endpoint"
    if rate.probability is None:
        return f"about {rate.per_second:g} a second of each endpoint"
    if rate.probability == 0:
        return first
    return f"{first}, and {_percent(rate.probability)} of what is beyond"


def _percent(share: float) -> str:
    return f"{share * 100:.9g} %"


def _are_rules(text: str) -> bool:
    try:
        return bool(parse_rules(text))
    except RuleError:
        return False
