"""Who takes part, in what, and how that is told to each."""

from __future__ import annotations

from collections import Counter

import pytest
from callgrind import parts
from contenders import BARE, contenders, select, slug
from scenarios import SCENARIOS, Scenario
from scenarios import select as select_scenarios


def named(name: str, *, rules: bool = True) -> dict[str, str]:
    (found,) = [each for each in contenders(rules=rules) if each.name == name]
    return dict(found.env)


class TestContenders:
    def test_bare_is_first_and_names_are_unique(self) -> None:
        names = [each.name for each in contenders()]
        assert names[0] == BARE
        assert max(Counter(map(slug, names)).values()) == 1

    @pytest.mark.parametrize(("name", "rate"), [("tracebaton 10 %", "10%"), ("tracebaton 100 %", "100%")])
    def test_tracebaton_gets_rules(self, name: str, rate: str) -> None:
        env = named(name)
        assert (env["OTEL_TRACES_SAMPLER"], env["OTEL_TRACES_SAMPLER_ARG"]) == ("tracebaton", rate)

    def test_or_the_specification_s_sampler(self) -> None:
        env = named("tracebaton 10 %", rules=False)
        assert (env["OTEL_TRACES_SAMPLER"], env["OTEL_TRACES_SAMPLER_ARG"]) == ("parentbased_traceidratio", "0.1")

    def test_its_default_sets_no_sampler(self) -> None:
        assert not [name for name in named("tracebaton default") if name.startswith("OTEL_TRACES_SAMPLER")]

    def test_upstream_s_own_distro_is_chosen_by_name(self) -> None:
        env = named("upstream 10 %")
        assert (env["OTEL_PYTHON_DISTRO"], env["OTEL_PYTHON_CONFIGURATOR"]) == ("distro", "configurator")

    def test_ten_percent_counts_as_nine_parts_of_none_and_one_of_all(self) -> None:
        (ten,) = select(contenders(), ["tracebaton-10"])[1:]
        (none, never), (every, always) = parts(ten)
        assert (none, every) == (pytest.approx(0.9), pytest.approx(0.1))
        assert 0 < float(never["OTEL_TRACES_SAMPLER_ARG"].rstrip("%")) < 0.001
        assert always["OTEL_TRACES_SAMPLER_ARG"] == "100%"

    def test_a_limit_a_second_cannot_be_counted(self) -> None:
        (default,) = select(contenders(), ["tracebaton-default"])[1:]
        assert parts(default) == []


class TestSelect:
    def test_a_venv_s_name_takes_all_of_it_and_bare_is_always_there(self) -> None:
        chosen = [each.name for each in select(contenders(), ["ddtrace", "upstream-off"])]
        assert chosen == [BARE, "upstream off", "ddtrace 10 %"]

    def test_a_name_that_is_none_is_an_error_that_lists_them(self) -> None:
        with pytest.raises(ValueError, match="no contender 'jaeger'.*upstream-disabled"):
            select(contenders(), ["bare", "jaeger"])

    def test_a_quick_run_has_only_tracebaton_and_upstream(self) -> None:
        venvs = {each.venv for each in select(contenders(), None, quick=True)}
        assert venvs == {BARE, "bare-sniffio", "tracebaton", "upstream"}

    def test_scenarios_by_name_in_the_order_asked_for(self) -> None:
        assert [each.name for each in select_scenarios(["chat", "hello"], quick=True)] == ["chat", "hello"]

    def test_a_scenario_that_is_none_is_an_error_that_lists_them(self) -> None:
        with pytest.raises(ValueError, match="no scenario 'x'.*routes-500"):
            select_scenarios(["x"], quick=False)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_wrk_sends_as_many_headers_as_the_scenario_says(scenario: Scenario) -> None:
    command = scenario.wrk(1234, seconds=1)
    assert command.count("-H") == scenario.headers - 1 + bool(scenario.baggage)
    assert command[-1].startswith("http://127.0.0.1:1234/")
