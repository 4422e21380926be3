"""The grammar of `OTEL_TRACES_SAMPLER_ARG`: which requests are recorded, and how many of them.

    OTEL_TRACES_SAMPLER_ARG = RULE [, RULE ...]          first match wins
    RULE = [METHOD ]PATH=RATE                            PATH: glob over the URL path, `{x}` matches one segment
         | KIND NAME=RATE                                KIND: CLIENT CONSUMER PRODUCER INTERNAL, for root spans
         | RATE                                          short for `*=RATE`
    RATE = 0..1 | N% | N/s | N/s+P%                      `10/s+10%`: ten a second, and 10 % of what is beyond

In PATH and NAME `*` is any run of characters, `/` included, `?` any one character, `{x}` one whole segment that is not
empty, and all else is itself: a trailing slash counts, and nothing is percent-decoded. `*` alone is every request and
every root span (a span without a parent), but none of a Redis command that waits: a rule has to name that. The URL of
a call over HTTP, without its query, is its NAME, too. A comma always separates rules, and the last `=` of a rule
separates its rate, so a path may contain `=` but no comma; `?` stands for one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from re import DOTALL, Pattern, escape
from re import compile as regex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("CLIENT", "CONSUMER", "PRODUCER", "INTERNAL")
SERVER = "SERVER"
DEFAULT_RULES_TEXT = (
    "GET /health*=0, GET /live*=0, GET /ready*=0, GET /metrics=0, CLIENT http*://*=10/s+10%, CLIENT *=1/s, *=10/s+10%"
)

# Commands of Redis that a loop waits with, or asks with whether there is something to do: without end, and about
# nothing that was done. Spans of its instrumentation have their names.
_WAITING_COMMANDS = frozenset(
    (
        *("BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "XREAD", "XREADGROUP"),
        *("EVAL", "EVALSHA", "FCALL", "PING", "PSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE", "WAIT", "WAITAOF"),
    )
)

_MOST_RULES = 1000
_LONGEST_TEXT = 64 * 1024
# Matching costs at most the length of the pattern times that of the path, and the path is anybody's.
_LONGEST_PATTERN = 256
_LEAST_PROBABILITY = 1e-9
# From about one a day to what no process serves.
_LEAST_PER_SECOND, _MOST_PER_SECOND = 1e-5, 1e6

_RATE_FORMS = "rate must be 0..1, N%, N/s or N/s+P%"
_RULE_FORMS = "a rule is [METHOD ]PATH=RATE, KIND NAME=RATE or RATE"
_NUMBER = r"([0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
_PROBABILITY = regex(_NUMBER + "(%?)")
_PER_SECOND = regex(_NUMBER + r"/s(?: *\+ *" + _NUMBER + "%)?")
# RFC 9110, section 5.6.2: token.
_METHOD = regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STARS = regex(r"\*+")
_SEGMENT = regex(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_WILDCARDS = regex(r"(\?|\{[A-Za-z_][A-Za-z0-9_]*\})")


class RuleError(ValueError):
    """The text is no list of rules; the message says which rule is wrong, and why."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many are sampled: the first `per_second` of each second, of all others the share `probability` (0 to 1).

    `probability` None under a `per_second` means that it follows the volume.
    """

    per_second: float | None
    probability: float | None

    def __post_init__(self) -> None:
        if self.per_second is None and self.probability is None:
            raise ValueError("A rate has a number per second, a probability, or both.")

    def __str__(self) -> str:
        per_second = "" if self.per_second is None else f"{_plain(self.per_second)}/s"
        percent = "" if self.probability is None else f"{_plain(self.probability * 100)}%"
        return "+".join(filter(None, (per_second, percent)))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `text` is as it was written, `str()` the canonical form.

    `kind` is `SERVER` for requests, one of `KINDS` for spans without a parent, None for the catch-all.
    """

    text: str
    kind: str | None
    method: str | None
    pattern: str
    rate: Rate
    _glob: Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_glob", _compiled(self.pattern))

    def __hash__(self) -> int:
        # Rules are looked up for every request; a string remembers its hash, the generated one would walk all fields.
        return hash(self.text)

    def __str__(self) -> str:
        word = self.method if self.kind == SERVER else self.kind
        return f"{word} {self.pattern}={self.rate}" if word else f"{self.pattern}={self.rate}"

    def matches_request(self, method: str, path: str) -> bool:
        """Whether the rule is for this request; `method` in upper case, `path` as the application sees it."""
        if self.kind != SERVER:
            return self.kind is None
        return (self.method is None or self.method == method) and self._glob.fullmatch(path) is not None

    def matches_span(self, kind: str, name: str, url: str = "") -> bool:
        """Whether the rule is for a span without a parent that is no request; `kind` in upper case.

        `url` is that of a call over HTTP, without its query: a rule may be for either.
        """
        if self.kind is None:
            return True
        return self.kind == kind != SERVER and any(map(self._glob.fullmatch, (name, url)))


def paths_of(path: str, root_path: str) -> tuple[str, ...]:
    """The path that the application's routes are for, and that which its clients ask for; one where they are the same.

    A server or an application has a root path where a proxy serves it below a prefix. The proxy may take that off the
    path or not, and the server may put it back (uvicorn since 0.26): `path` has it, or has not.
    """
    root = root_path.rstrip("/")
    if not root:
        return (path,)
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :] or "/", path
    return path, f"{root}{path}"


def rule_for(rules: Iterable[Rule], method: str, path: str, root_path: str = "") -> Rule:
    """The rule that decides about a request: the first for its path, written with the root path or without.

    `rules` end with one that matches everything, as `effective_rules` do.
    """
    paths = paths_of(path, root_path)
    return next(rule for rule in rules if any(rule.matches_request(method, one) for one in paths))


def may_be_left_out(rule: Rule, kind: str, name: str) -> bool:
    """Whether the rule, which matches the span, is for all spans, and this is named as a Redis command that waits."""
    return kind == "CLIENT" and rule.pattern == "*" and name.upper() in _WAITING_COMMANDS


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of `text`, in order. RuleError for the first that is wrong, with its number and its text."""
    if len(text) > _LONGEST_TEXT:
        raise RuleError(f"the rules are {len(text)} characters long: at most {_LONGEST_TEXT} are accepted")
    written = [rule.strip() for rule in text.split(",")]
    if len(written) > _MOST_RULES:
        raise RuleError(f"there are {len(written)} rules: at most {_MOST_RULES} are accepted")
    return tuple(_parse_numbered(number, rule) for number, rule in enumerate(written, 1))


def effective_rules(text: str | None) -> tuple[Rule, ...]:
    """The rules of `text`, then the default ones: whatever comes, one of them matches. RuleError as `parse_rules`."""
    default = parse_rules(DEFAULT_RULES_TEXT)
    return default if text is None else (*parse_rules(text), *default)


def _parse_numbered(number: int, text: str) -> Rule:
    try:
        return _parse_rule(text)
    except RuleError as error:
        shown = text if len(text) <= 80 else text[:80] + "..."
        raise RuleError(f"rule {number}, {shown!r}: {error}") from None


def _parse_rule(text: str) -> Rule:
    head, equals, rate = (part.strip() for part in text.rpartition("="))
    if not text:
        raise RuleError(f"the rule is empty: {_RULE_FORMS}")
    if not equals:
        if text[0] not in "0123456789.+-":
            raise RuleError(f"there is no '=': {_RULE_FORMS}")
        head = "*"
    if not head:
        raise RuleError(f"there is nothing before '=': {_RULE_FORMS}")
    kind, method, pattern = _parse_head(head)
    return Rule(text, kind, method, pattern, _parse_rate(rate))


def _parse_head(head: str) -> tuple[str | None, str | None, str]:
    """Kind, method and glob."""
    if head[0] in "/*":
        pattern = _parse_path(head)
        return (None if pattern == "*" else SERVER), None, pattern
    word, *rest = head.split(None, 1)
    if not rest:
        raise RuleError(f"path must start with / or *, after a method or alone: {_RULE_FORMS}")
    if _METHOD.fullmatch(word) is None or word.upper() == SERVER:
        raise RuleError(f"{word!r} is neither a method nor one of {', '.join(KINDS)}")
    word = word.upper()
    if word in KINDS:
        return word, None, _parse_glob(rest[0])
    if rest[0][0] not in "/*":
        raise RuleError(f"path must start with / or *, unless after one of {', '.join(KINDS)}; {word} is none of them")
    return SERVER, word, _parse_path(rest[0])


def _parse_path(path: str) -> str:
    if any(character.isspace() for character in path):
        raise RuleError("path must not contain white space; ? stands for any character")
    return _parse_glob(path)


def _parse_glob(glob: str) -> str:
    if len(glob) > _LONGEST_PATTERN:
        raise RuleError(f"path or name is longer than {_LONGEST_PATTERN} characters")
    for segment in glob.split("/"):
        if ("{" in segment or "}" in segment) and _SEGMENT.fullmatch(segment) is None:
            raise RuleError(
                "{} must be balanced, hold a name and be a whole segment, as in /agents/{name}/chat; "
                "* stands for a part of a segment, or for several"
            )
    return _STARS.sub("*", glob)


def _compiled(glob: str) -> Pattern[str]:
    """The regular expression of a glob, whose time is bounded by the product of the lengths of glob and text.

    What stands between two stars may match at the first place where it can and is never tried at a later one: any
    later place leaves less for the rest. So says the atomic group, spelled as a lookahead with a back-reference
    because Python 3.10 has no other (as its fnmatch.translate does). `{x}` has a slash on either side and therefore
    only one length, so it does not backtrack either.
    """
    first, *others = [_piece(piece) for piece in glob.split("*")]
    if not others:
        return regex(first, DOTALL)
    middle = "".join(f"(?=(.*?{piece}))\\{number}" for number, piece in enumerate(others[:-1], 1))
    return regex(f"{first}{middle}.*{others[-1]}", DOTALL)


def _piece(piece: str) -> str:
    # Split by a pattern with one group: literal, wildcard, literal and so on.
    literals, wildcards = (parts := _WILDCARDS.split(piece))[::2], parts[1::2]
    expressions = ["." if wildcard == "?" else "[^/]+" for wildcard in wildcards]
    return "".join(escape(literal) + other for literal, other in zip(literals, [*expressions, ""], strict=True))


def _parse_rate(text: str) -> Rate:
    if match := _PROBABILITY.fullmatch(text):
        number, percent = match.groups()
        return Rate(None, _parse_share(number, 100 if percent else 1))
    if match := _PER_SECOND.fullmatch(text):
        number, share = match.groups()
        per_second = round(float(number), 9)
        if float(number) and not _LEAST_PER_SECOND <= per_second <= _MOST_PER_SECOND:
            raise RuleError(f"{number}/s must be 0, or from 0.00001/s to 1000000/s")
        return Rate(per_second, None if share is None else _parse_share(share, 100))
    raise RuleError(_RATE_FORMS)


def _parse_share(number: str, whole: int) -> float:
    # Eleven decimals are what `Rate.__str__` prints, as a percentage with nine.
    share = round(float(number) / whole, 11)
    if share > 1:
        raise RuleError(f"{_RATE_FORMS}, and {number} is above {whole}{' %' if whole == 100 else ''}")
    if share < _LEAST_PROBABILITY and float(number):
        raise RuleError(f"{_RATE_FORMS}, and {number} is too little: write 0 for never")
    return share


def _plain(number: float) -> str:
    """Decimal digits without an exponent and without zeros that say nothing."""
    return f"{number:.9f}".rstrip("0").rstrip(".")
