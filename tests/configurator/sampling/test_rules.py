"""The grammar of OTEL_TRACES_SAMPLER_ARG."""

import sys
import time
from functools import cache
from subprocess import run

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tracebaton_configurator.sampling.rules import Rate, Rule, RuleError, effective_rules, parse_rules

DEFAULT = (
    "GET /health*=0, GET /live*=0, GET /ready*=0, GET /metrics=0, CLIENT http*://*=10/s+10%, CLIENT *=1/s, *=10/s+10%"
)


def only(text: str) -> Rule:
    (rule,) = parse_rules(text)
    return rule


# fmt: off
RATES = [
    ("0", Rate(None, 0.0), "0%"), ("1", Rate(None, 1.0), "100%"), ("100%", Rate(None, 1.0), "100%"),
    ("0.25", Rate(None, 0.25), "25%"), (".5", Rate(None, 0.5), "50%"), ("10%", Rate(None, 0.1), "10%"),
    ("0.3333333333333333", Rate(None, 0.33333333333), "33.333333333%"), ("0.000001%", Rate(None, 1e-8), "0.000001%"),
    ("10/s", Rate(10.0, None), "10/s"), ("0.5/s", Rate(0.5, None), "0.5/s"), ("0/s", Rate(0.0, None), "0/s"),
    ("0.00001/s", Rate(1e-5, None), "0.00001/s"), ("1000000/s", Rate(1e6, None), "1000000/s"),
    ("10/s+10%", Rate(10.0, 0.1), "10/s+10%"), ("2.5/s + 0%", Rate(2.5, 0.0), "2.5/s+0%"),
]
NO_RATES = [
    "1O%", "%", "/s", "-1", "-0.5", "+1", "nan", "inf", "1e-3", "10/m", "10/s+10", "10/s10%", "10/s+", "10%%", "0x1",
    "1_0", "٣", "1" * 31, "1.2.3", "1.", "10%/s", "10/S", "",
]
OUT_OF_RANGE = [
    ("1.5", "1.5 is above 1"), ("100", "100 is above 1"), ("150%", "150 is above 100 %"),
    ("10/s+101%", "101 is above 100 %"), ("0.0000000001", "0.0000000001 is too little"),
    ("0.0000000000000001%", "is too little"), ("1000001/s", "from 0.00001/s to 1000000/s"),
    ("0.0000000001/s", "from 0.00001/s to 1000000/s"),
]
NO_RULES = [
    ("", "rule 1, '': the rule is empty"), ("/a=1,", "rule 2, '': the rule is empty"),
    ("/a=1,,/b=1", "rule 2, '': the rule is empty"), ("=1", "rule 1, '=1': there is nothing before '='"),
    ("GET /health", "rule 1, 'GET /health': there is no '='"),
    ("health=0", "rule 1, 'health=0': path must start with / or *"),
    ("GET health=0", "rule 1, 'GET health=0': path must start with / or *"),
    ("CLENT redis=0", "one of CLIENT, CONSUMER, PRODUCER, INTERNAL; CLENT is none of them"),
    ("GET=0", "rule 1, 'GET=0': path must start with / or *"),
    ("SERVER /a=0", "'SERVER' is neither a method nor one of CLIENT, CONSUMER, PRODUCER, INTERNAL"),
    ("GÉT /a=0", "'GÉT' is neither a method"), ("G(T /a=0", "'G(T' is neither a method"),
    ("/a b=0", "path must not contain white space"), (f"/{'a' * 256}=0", "longer than 256 characters"),
    ("0," * 1000 + "0", "there are 1001 rules: at most 1000 are accepted"),
    (" " * 65537, "the rules are 65537 characters long: at most 65536 are accepted"),
]
UNBALANCED = ["/a/{x", "/a/x}", "/a/{}", "/a/{{x}}", "/a/{x/y}", "/a/{x}.json", "/a/{x}*", "/a/{rest:path}"]
HOSTILE_GLOBS = [
    "/" + "*a" * 120 + "*b", "/" + "*?a" * 80 + "b", "/" + "*/{x}/" * 35 + "*b", "/*" + "/{x}" * 50 + "/b",
    "/*" + "/{x}" * 50 + "/b*", "*" + "a" * 250 + "b", "*" + "a" * 250 + "b*", "*" + "?" * 250 + "b",
]
# fmt: on


class TestRates:
    @pytest.mark.parametrize(("text", "rate", "canonical"), RATES)
    def test_a_rate_alone_is_the_catch_all(self, text: str, rate: Rate, canonical: str) -> None:
        rule = only(text)
        assert (rule.kind, rule.method, rule.pattern, rule.rate) == (None, None, "*", rate)
        assert str(rule) == f"*={canonical}"

    @pytest.mark.parametrize("rate", NO_RATES)
    def test_what_is_no_rate_is_told_what_is(self, rate: str) -> None:
        with pytest.raises(RuleError) as caught:
            parse_rules(f"GET /a=1, POST /chat={rate}")
        assert str(caught.value).startswith(f"rule 2, {f'POST /chat={rate}'!r}: rate must be 0..1, N%, N/s or N/s+P%")

    @pytest.mark.parametrize(("rate", "reason"), OUT_OF_RANGE)
    def test_a_rate_out_of_range_says_so(self, rate: str, reason: str) -> None:
        with pytest.raises(RuleError, match=reason):
            parse_rules(f"/a={rate}")

    def test_a_rate_of_nothing_cannot_be_made(self) -> None:
        with pytest.raises(ValueError, match="a number per second, a probability, or both"):
            Rate(None, None)


class TestWhatIsNoRule:
    @pytest.mark.parametrize(("text", "message"), NO_RULES)
    def test_the_message_points_at_the_place(self, text: str, message: str) -> None:
        with pytest.raises(RuleError) as caught:
            parse_rules(text)
        assert message in str(caught.value)

    @pytest.mark.parametrize("path", UNBALANCED)
    def test_braces_hold_a_name_and_are_a_segment(self, path: str) -> None:
        with pytest.raises(RuleError, match=r"\{\} must be balanced, hold a name and be a whole segment"):
            parse_rules(f"{path}=0")

    def test_a_long_rule_is_not_repeated_whole(self) -> None:
        with pytest.raises(RuleError) as caught:
            parse_rules("x" * 60_000)
        assert len(str(caught.value)) < 300

    def test_as_many_rules_as_are_accepted_are_accepted(self) -> None:
        assert len(parse_rules(",".join(["/a=0"] * 1000))) == 1000


class TestRequests:
    @pytest.mark.parametrize(
        ("path", "matching", "others"),
        [
            ("/a", "/a", "/a/ /ab /b/a /A"),
            ("*", "/ /a /any/thing", ""),
            ("/health*", "/health /healthz/live", "/a/health /healt"),
            ("*/health", "/health /a/b/health", "/health/ health"),
            ("/a?c", "/abc /a,c /a/c", "/ac /abbc"),
            ("/agents/{name}/chat", "/agents/ann/chat", "/agents//chat /agents/a/b/chat /agents/chat"),
            ("/{a}/{b_2}", "/x/y", "/x /x/ /x/y/z"),
            ("/a=b", "/a=b", "/a"),
            ("/a.c+[x]^$|(y)\\", "/a.c+[x]^$|(y)\\", "/abc+[x]^$|(y)\\"),
            ("/a%20b", "/a%20b", "/a+b"),
            ("*b*d*", "/a/b/c/d bd", "/d/b"),
            ("*ab", "/aab/ab ab", "/aba"),
            ("*/{x}/b*", "/a/b/b/c /a/b", "//b /b"),
            ("/*/x/*/x", "/a/x/x/x /a/x/b/x", "/a/x/x"),
        ],
    )
    def test_a_glob_is_for_the_whole_path(self, path: str, matching: str, others: str) -> None:
        rule = only(f"GET {path}=1")
        assert [each for each in matching.split() if not rule.matches_request("GET", each)] == []
        assert [each for each in others.split() if rule.matches_request("GET", each)] == []

    def test_a_new_line_is_a_character_like_others(self) -> None:
        assert not only("/a=1").matches_request("GET", "/a\n")
        assert only("/a*=1").matches_request("GET", "/a\n")

    @pytest.mark.parametrize("text", ["POST /a=1", "post /a = 1", "/a=1", "POST *=1", "*=1", "**=1"])
    def test_a_method_is_read_in_any_case_and_may_be_left_out(self, text: str) -> None:
        assert only(text).matches_request("POST", "/a")

    @pytest.mark.parametrize("text", ["GET /a=1", "M-SEARCH /a=1", "CLIENT /a=1", "CLIENT *=1"])
    def test_a_rule_for_something_else(self, text: str) -> None:
        assert not only(text).matches_request("POST", "/a")


class TestSpans:
    def test_the_catch_all_is_for_spans_of_every_kind(self) -> None:
        assert all(only("5%").matches_span(kind, "x") for kind in ("CLIENT", "INTERNAL", "SERVER"))

    @pytest.mark.parametrize("text", ["/a=1", "GET *=1", "*/a=1", "**/a=1"])
    def test_a_rule_for_requests_is_for_no_span(self, text: str) -> None:
        assert not any(only(text).matches_span(kind, "/a") for kind in ("CLIENT", "INTERNAL", "SERVER"))

    def test_kind_and_name_must_match(self) -> None:
        rule = only("client XREAD  my=*=1/s")
        assert (rule.kind, rule.method, rule.pattern) == ("CLIENT", None, "XREAD  my=*")
        assert rule.matches_span("CLIENT", "XREAD  my=stream")
        assert not rule.matches_span("INTERNAL", "XREAD  my=stream")
        assert not rule.matches_span("CLIENT", "XADD my=stream")

    def test_a_name_that_holds_a_template_matches_itself(self) -> None:
        assert only("INTERNAL GET /items/{id}=0").matches_span("INTERNAL", "GET /items/{id}")


class TestEffectiveRules:
    def test_without_text_the_default_applies(self) -> None:
        assert effective_rules(None) == parse_rules(DEFAULT)
        with pytest.raises(RuleError, match="rule 1"):
            effective_rules("")

    def test_the_users_rules_come_first(self) -> None:
        rules = effective_rules("GET /health=1")
        assert rules == (only("GET /health=1"), *parse_rules(DEFAULT))
        assert next(str(rule) for rule in rules if rule.matches_request("GET", "/health")) == "GET /health=100%"

    @given(some.text(max_size=20), some.text(max_size=20))
    def test_something_always_matches(self, word: str, name: str) -> None:
        rules = effective_rules("POST /a=0")
        assert any(rule.matches_request(word, name) for rule in rules)
        assert any(rule.matches_span(word, name) for rule in rules)


WORDS = ["GET ", "client ", "SERVER ", "/", "*", "?", "{x}", "{", "}", "a", "=", ",", " ", "10", ".", "%", "/s", "+"]
TEXTS = some.one_of(some.text(max_size=60), some.lists(some.sampled_from(WORDS), max_size=20).map("".join))


@given(TEXTS)
def test_any_text_is_rules_or_an_error_that_names_one(text: str) -> None:
    try:
        rules = parse_rules(text)
    except RuleError as error:
        assert str(error).startswith("rule ")  # noqa: PT017 (both ends are right)
        return
    assert len(rules) == text.count(",") + 1
    canonical = ", ".join(map(str, rules))
    again = parse_rules(canonical)
    assert ", ".join(map(str, again)) == canonical
    for rule, same in zip(rules, again, strict=True):
        assert (same.kind, same.method, same.pattern, same.rate) == (rule.kind, rule.method, rule.pattern, rule.rate)


PERCENT = some.decimals(min_value=0, max_value=100, places=7).filter(lambda value: value == 0 or value >= 1e-6)
PER_SECOND = some.decimals(min_value="0.00001", max_value=1_000_000, places=9)


@given(some.one_of(PERCENT.map("{:f}%".format), some.builds("{:f}/s+{:f}%".format, PER_SECOND, PERCENT)))
def test_a_rate_survives_its_canonical_form(text: str) -> None:
    rate = only(text).rate
    assert only(str(rate)).rate == rate


def matches(glob: str, text: str) -> bool:
    """The glob's meaning, spelled out without regular expressions."""

    @cache
    def rest(g: int, t: int) -> bool:
        if g == len(glob):
            return t == len(text)
        if glob[g] == "*":
            return rest(g + 1, t) or (t < len(text) and rest(g, t + 1))
        if glob[g] == "{":
            end = text.find("/", t) if "/" in text[t:] else len(text)
            return end > t and rest(glob.index("}", g) + 1, end)
        return t < len(text) and glob[g] in ("?", text[t]) and rest(g + 1, t + 1)

    return rest(0, 0)


SEGMENTS = some.one_of(some.just("{x}"), some.text(some.sampled_from("ab*?"), max_size=4))


@given(some.lists(SEGMENTS, min_size=1, max_size=5).map("/".join), some.text(some.sampled_from("ab/"), max_size=12))
def test_the_regular_expression_means_what_the_glob_means(glob: str, path: str) -> None:
    assert only(f"GET /{glob}=1").matches_request("GET", f"/{path}") is matches(f"/{glob}", f"/{path}")


@pytest.mark.parametrize("glob", HOSTILE_GLOBS)
@pytest.mark.parametrize("path", ["/" + "a" * 8191, "/a" * 4096, "/" * 8192, "/aaaaaaa" * 1024])
def test_a_hostile_path_costs_little(glob: str, path: str) -> None:
    """8 KiB against 256 characters; a backtracking match of the first glob would take longer than the world lasts."""
    rule = only(f"GET {glob}=1")
    begun = time.process_time()
    assert not rule.matches_request("GET", path)
    assert time.process_time() - begun < 0.5


def test_nothing_of_opentelemetry_is_imported() -> None:
    modules = ", ".join(f"tracebaton_configurator.sampling.{name}" for name in ("rules", "threshold", "rate_counter"))
    code = f"import sys, {modules}; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert run([sys.executable, "-I", "-c", code], check=False, timeout=60).returncode == 0
