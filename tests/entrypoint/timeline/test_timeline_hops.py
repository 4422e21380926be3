"""tracebaton.timeline.hops"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracebaton.timeline.hops import Hops
from tracebaton.timeline.merge import Match


def match(at: int, service: str, span: str = "", parent: str = "") -> Match:
    return Match("t", at, at, "file", 1, service, span or service, parent, b"")


def depths(*matches: Match) -> list[int]:
    hops = Hops(matches)
    return [hops.depth(each) for each in matches]


class TestByTime:
    def test_chain(self) -> None:
        """A hop within the time of another is below it."""
        chain = [match(0, "a"), match(1, "b"), match(2, "c"), match(3, "c"), match(4, "b"), match(5, "a")]
        assert depths(*chain) == [0, 1, 2, 2, 1, 0]

    def test_one_after_another(self) -> None:
        assert depths(match(0, "a"), match(1, "b"), match(2, "b"), match(3, "c"), match(9, "a")) == [0, 1, 1, 1, 0]

    def test_at_the_same_time(self) -> None:
        """Two calls that overlap are next to each other."""
        calls = [match(1, "b"), match(2, "c"), match(3, "b"), match(4, "c")]
        assert depths(match(0, "a"), *calls, match(5, "a")) == [0, 1, 1, 1, 1, 0]

    def test_background_task(self) -> None:
        """What outlasts its caller is below it all the same."""
        assert depths(match(0, "a"), match(1, "b"), match(2, "a"), match(9, "b")) == [0, 1, 0, 1]

    def test_later_hop(self) -> None:
        assert depths(match(0, "a"), match(1, "a"), match(2, "b")) == [0, 0, 0]

    def test_span_in_same_service(self) -> None:
        assert depths(match(0, "a", "1"), match(1, "a", "2"), match(2, "a", "1")) == [0, 1, 0]


class TestByParent:
    def test_stated(self) -> None:
        """A parent's id counts for more than times."""
        assert depths(match(0, "a", "1"), match(5, "b", "2", "3"), match(6, "c", "3", "1")) == [0, 2, 1]

    def test_not_there(self) -> None:
        """The id of a span without lines says nothing: times decide."""
        assert depths(match(0, "a", "1"), match(1, "b", "2", "f"), match(2, "a", "1")) == [0, 1, 0]

    def test_circle(self) -> None:
        assert sorted(depths(match(0, "a", "1", "2"), match(1, "b", "2", "1"))) == [0, 1]

    def test_own_parent(self) -> None:
        assert depths(match(0, "a", "1", "1")) == [0]


class TestLater:
    def test_new_hop(self) -> None:
        """With --follow, a hop not seen before is one below the line before it, and stays there."""
        hops = Hops([match(0, "a"), match(1, "a")])
        assert [hops.depth(match(at, name)) for at, name in enumerate("abcab")] == [0, 1, 2, 0, 1]


@given(
    st.lists(
        st.builds(
            match, st.integers(0, 20), st.sampled_from("abc"), st.sampled_from("1234"), st.sampled_from(["", *"1234"])
        )
    )
)
def test_anything(matches: list[Match]) -> None:
    """Whatever the lines say, each gets a depth below the number of hops, the same for the same hop."""
    hops = Hops(matches)
    known: dict[tuple[str, str], int] = {}
    for each in matches:
        depth = hops.depth(each)
        assert known.setdefault((each.service, each.span_id), depth) == depth
    assert all(0 <= depth < len(known) for depth in known.values())


def test_deep_chain() -> None:
    """Ten thousand hops are no recursion."""
    chain = [match(at, "a", f"{at:x}", f"{at - 1:x}") for at in range(1, 10_000)]
    assert depths(*reversed(chain))[0] == 9998
