"""What is recorded: the sampler and the rules in words, and which rule decides about a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, answer, error, nearest, ok, warning
from tracebaton_configurator.names import NAME
from tracebaton_configurator.sampling.rules import (
    KINDS,
    Rule,
    RuleError,
    effective_rules,
    may_be_left_out,
    parse_rules,
    rule_for,
)
from tracebaton_configurator.sampling.rules import SERVER as REQUESTS
from tracebaton_configurator.settings import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.sampling.rules import Rate
    from tracebaton_configurator.sampling.standard import SamplerError

_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
_RULES = "rules such as 'POST /chat=1, GET /health*=0, *=10/s+10%'"


def check(situation: Situation) -> Iterator[Finding]:
    here, argument = situation.settings, situation.settings.sampler_arg
    if here.disabled:
        yield ok("nothing is recorded, as OTEL_SDK_DISABLED=true")
        return
    if here.sampler.lower() != NAME:
        from tracebaton_configurator.sampling import standard

        try:
            standard.build_standard(here.sampler, argument)
        except standard.SamplerError as problem:
            yield _wrong(problem, here.sampler, argument or "")
            if problem.variable != _ARGUMENT:
                return
            argument = None
        else:
            yield _standard(here.sampler, argument)
            for request in situation.explain:
                yield answer(f"{request}: the sampler {here.sampler} decides, the same for every request")
            return
    yield from _by_rules(argument, situation.explain, _root_path(situation))


def _wrong(problem: SamplerError, sampler: str, argument: str) -> Finding:
    if problem.variable == _ARGUMENT:
        said = Problem(_ARGUMENT, argument, str(problem), problem.accepted, "the default rules apply")
        try:
            parse_rules(argument)
        except RuleError:
            return error(str(said), f"correct {_ARGUMENT}")
        return error(str(said), "unset OTEL_TRACES_SAMPLER: rules are for the sampler tracebaton")
    reason = f"{problem}{nearest(sampler, problem.accepted.split(', '))}"
    said = Problem(problem.variable, sampler, reason, problem.accepted, "no request is recorded")
    return error(str(said), f"correct {problem.variable}")


def _standard(sampler: str, argument: str | None) -> Finding:
    """One of the specification's samplers, in words; for one of somebody else's, its name."""
    lowered = sampler.lower()
    words = {
        "always_on": "every request is recorded",
        "always_off": "no request is recorded",
        "traceidratio": f"{_percent(float(argument)) if argument else 'every one'} of all requests are recorded",
    }.get(lowered.removeprefix("parentbased_"))
    if words is None:
        return ok(f"the sampler {sampler}, of another package, decides")
    if lowered.startswith("parentbased_"):
        return ok(f"sampler {sampler}: what has a parent follows it; of what has none, {words}")
    return warning(
        f"sampler {sampler}: {words}, whatever the caller has decided, so a trace can have holes",
        f"OTEL_TRACES_SAMPLER=parentbased_{lowered} keeps traces whole",
    )


def _by_rules(argument: str | None, explain: Sequence[str], root_path: str) -> Iterator[Finding]:
    own = 0
    try:
        own = len(parse_rules(argument)) if argument is not None else 0
    except RuleError as problem:
        said = Problem(_ARGUMENT, argument or "", f"is wrong in {problem}", _RULES, "the default rules apply")
        yield error(str(said), f"correct {_ARGUMENT}")
    rules = effective_rules(argument if own else None)
    catch_all: int | None = None
    for number, rule in enumerate(rules, 1):
        if catch_all is None:
            yield ok(f"rule {number}, {rule}: {_in_words(rule)}{'' if number <= own else ', by default'}")
            catch_all = number if rule.kind is None else None
        elif number <= own:
            yield warning(
                f"rule {number}, {rule}, is never reached: the first that matches decides, and rule {catch_all} "
                "matches everything",
                f"write it before rule {catch_all}",
            )
    for request in explain:
        yield _explained(request, rules, own, root_path)


def _explained(request: str, rules: Sequence[Rule], own: int, root_path: str) -> Finding:
    given = request.strip()
    word, _, rest = (f"GET {given}" if given.startswith("/") else given).partition(" ")
    word, rest = word.upper(), rest.strip()
    if not rest:
        return error(
            f"--explain {request!r} is no request", "write a method and a path, 'POST /chat', or a kind and a name"
        )
    if word in KINDS:
        rule = next(rule for rule in rules if rule.matches_span(word, rest))
        if may_be_left_out(rule, word, rest):
            return answer(f"{word} {rest}: none without a parent, as no rule names a Redis command that waits")
    else:
        rule = rule_for(rules, word, rest.partition("?")[0], root_path)
    number = rules.index(rule) + 1
    whose = "" if number <= own else " of the defaults"
    return answer(
        f"{word} {rest}: rule {number}{whose} decides, {rule}: {_in_words(rule)}. What has a parent follows it"
    )


def _root_path(situation: Situation) -> str:
    """What the server is told; what an application has by itself nobody can know before it runs."""
    program = situation.launch.program
    for before, argument in zip(["", *program], program, strict=False):
        if before == "--root-path":
            return argument
        if argument.startswith("--root-path="):
            return argument.partition("=")[2]
    return situation.environ.get("UVICORN_ROOT_PATH", "")


def _in_words(rule: Rule) -> str:
    if rule.kind is None:
        what = "everything else"
    elif rule.kind == REQUESTS:
        what = f"{rule.method or 'requests'}{' requests' if rule.method else ''} to {rule.pattern}"
    else:
        what = f"{rule.kind} spans without a parent" + ("" if rule.pattern == "*" else f" called {rule.pattern}")
    return f"of {what}, {_rate(rule.rate)}"


def _rate(rate: Rate) -> str:
    probability = rate.probability or 0.0
    share = {0.0: "none", 1.0: "all"}.get(probability) or _percent(probability)
    if not rate.per_second and (rate.per_second is None or not rate.probability):
        return share
    if rate.probability is None:
        return f"about {rate.per_second:g} a second of each endpoint"
    first = f"the first {rate.per_second:g} of every second of each endpoint"
    return first if rate.probability == 0 else f"{first}, and {share} of what is beyond"


def _percent(share: float) -> str:
    return f"{share * 100:.9g} %"
