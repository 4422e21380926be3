"""`tracestate`: what is read, and what changes keep."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import TraceState

from tracebaton_configurator.propagation.w3c.tracestate import (
    EMPTY,
    MAX_LENGTH,
    MAX_MEMBERS,
    Level2TraceState,
    parse_tracestate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = [(f"k{number}", str(number)) for number in range(MAX_MEMBERS)]


class TestParse:
    def test_no_header_is_an_empty_state(self) -> None:
        assert parse_tracestate(()) is EMPTY
        assert not EMPTY

    def test_the_result_is_upstreams_kind(self) -> None:
        state = parse_tracestate([b"a=1", b"b=2"])
        assert isinstance(state, TraceState)
        assert state == TraceState([("a", "1"), ("b", "2")])
        assert state.to_header() == "a=1,b=2"

    def test_spaces_before_a_value_belong_to_it(self) -> None:
        assert parse_tracestate([b"a=  1 2  ,b=3"])["a"] == "  1 2"

    def test_a_key_may_start_with_a_digit(self) -> None:
        assert list(parse_tracestate([b"1a=1"])) == ["1a"]

    @pytest.mark.parametrize("length", [1, 256])
    def test_a_value_has_up_to_256_characters(self, length: int) -> None:
        assert parse_tracestate([b"a=" + b"x" * length])["a"] == "x" * length

    @pytest.mark.parametrize(
        "values",
        [
            [b"a"],
            [b"="],
            [b"=1"],
            [b"a=" + b"x" * 257],
            [b"a=1", b"b= "],
            [b"a=1,b=\x7f"],
            [b"a=1\n"],
            [b"a=1,\x0b"],
            [b"a=1", "b=é".encode()],
            [b"a=1,b=\xff"],
            [b"a=1,_b=2"],
            [b"a=1;b=2=3"],
            [b"a=1," * MAX_MEMBERS + b"b=1"],
        ],
    )
    def test_one_illegal_member_drops_the_whole_list(self, values: Sequence[bytes]) -> None:
        assert parse_tracestate(values) is EMPTY

    def test_more_than_8_kib_is_dropped(self) -> None:
        fits = b"a=1".ljust(MAX_LENGTH, b",")
        assert parse_tracestate([fits]) == {"a": "1"}
        assert parse_tracestate([fits + b","]) is EMPTY
        assert parse_tracestate([fits, b""]) is EMPTY


class TestChanges:
    @pytest.fixture
    def state(self) -> TraceState:
        return parse_tracestate([b"foo@=1,bar=2"])

    def test_upstreams_would_lose_a_level_2_key(self, state: TraceState, caplog: pytest.LogCaptureFixture) -> None:
        assert "foo@" not in TraceState(list(state.items()))

    def test_a_new_key_goes_to_the_left(self, state: TraceState) -> None:
        assert state.add("ot", "th:8").to_header() == "ot=th:8,foo@=1,bar=2"
        assert state.update("ot", "th:8").to_header() == "ot=th:8,foo@=1,bar=2"

    def test_a_changed_key_goes_to_the_left(self, state: TraceState) -> None:
        assert state.update("bar", "3").to_header() == "bar=3,foo@=1"

    def test_an_existing_key_is_not_added(self, state: TraceState) -> None:
        assert state.add("bar", "3") is state

    def test_a_key_can_be_deleted(self, state: TraceState) -> None:
        assert state.delete("bar").to_header() == "foo@=1"
        assert state.delete("none") == state

    @pytest.mark.parametrize(("key", "value"), [("@a", "1"), ("a", ""), ("a", "1,2"), ("a", 1), (None, "1")])
    def test_an_illegal_pair_changes_nothing(self, state: TraceState, key: str, value: str) -> None:
        assert state.add(key, value) is state
        assert state.update(key, value) is state

    def test_a_full_list_gives_up_its_right_most_member(self) -> None:
        state = Level2TraceState(FULL).update("ot", "th:8")
        assert list(state.items()) == [("ot", "th:8"), *FULL[:-1]]

    def test_a_key_of_a_full_list_can_be_changed(self) -> None:
        state = Level2TraceState(FULL).update(*FULL[-1])
        assert list(state.items()) == [FULL[-1], *FULL[:-1]]

    def test_it_is_built_like_upstreams(self) -> None:
        state = Level2TraceState([("a", "1"), ("a", "2"), ("B", "3"), ("c", "4")])
        assert (list(state.keys()), list(state.values())) == (["a", "c"], ["1", "4"])
        assert (state["a"], state.get("B"), len(state), "c" in state) == ("1", None, 2, True)
        assert repr(state) == "Level2TraceState([('a', '1'), ('c', '4')])"
        assert len(Level2TraceState([*FULL, ("more", "1")])) == MAX_MEMBERS
        assert Level2TraceState.from_header(["a=1,b=2"]) == {"a": "1", "b": "2"}

    def test_nothing_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        parse_tracestate([b"foo@=1,foo@=2"]).add("A", "1").update("b", "").delete("z")
        parse_tracestate([b"\xff"])
        assert caplog.records == []
