"""The specification's samplers, by name."""

import pytest

from tracebaton_configurator.sampling.standard import SamplerError, build_standard


@pytest.mark.parametrize(
    ("name", "argument", "description"),
    [
        ("always_on", None, "AlwaysOnSampler"),
        ("ALWAYS_OFF", None, "AlwaysOffSampler"),
        ("traceidratio", "0.25", "TraceIdRatioBased{0.25}"),
        ("traceidratio", None, "TraceIdRatioBased{1.0}"),
    ],
)
def test_root_samplers(name: str, argument: str | None, description: str) -> None:
    assert build_standard(name, argument).get_description() == description


@pytest.mark.parametrize("name", ["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"])
def test_parent_based_samplers(name: str) -> None:
    assert build_standard(name, "0.5").get_description().startswith("ParentBased{root:")


@pytest.mark.parametrize("argument", ["10%", "1.5", "-0.1", "nan", "half"])
def test_a_wrong_ratio_is_an_error_and_never_one_hundred_per_cent(argument: str) -> None:
    with pytest.raises(SamplerError, match="is not a ratio") as caught:
        build_standard("parentbased_traceidratio", argument)
    assert caught.value.variable == "OTEL_TRACES_SAMPLER_ARG"


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(SamplerError, match="is unknown") as caught:
        build_standard("traceidratoi", "0.1")
    assert "tracebaton" in caught.value.accepted
    assert "traceidratio" in caught.value.accepted
