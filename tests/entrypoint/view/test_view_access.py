"""tracebaton.view.access"""

from __future__ import annotations

import pytest

from tracebaton.view.access import Access, host_of


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost.:4318", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[0:0::1]:4318", "::1"),
        ("a.b-c_d:80", "a.b-c_d"),
        *(
            (wrong, None)
            for wrong in ("", ":80", "a b", "a@b", "a/b", "[::1", "::1", "[x]", "a:b", "a:80:80", ".", "[1.2.]")
        ),
    ],
)
def test_host_of(authority: str, host: str | None) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    ("bound", "given", "host", "taken"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:4318", True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.2:4318", True),
        ("127.0.0.1", "mine.test", "mine.test:4318", True),
        ("127.0.0.1", "", "mine.test:4318", False),
        ("::1", "::1", "[::1]:4318", True),
        ("::1", "", "localhost", True),
        ("127.0.0.1", "", "10.0.0.1", False),
        ("10.0.0.1", "", "10.0.0.1", True),
        ("0.0.0.0", "", "anything.example", True),
    ],
)
def test_host(bound: str, given: str, host: str, taken: bool) -> None:  # noqa: FBT001
    assert (Access(bound, given).refusal({"host": host}) is None) is taken


@pytest.mark.parametrize(
    ("bound", "host", "origin", "taken"),
    [
        ("127.0.0.1", "localhost:4318", "http://localhost:4318", True),
        ("127.0.0.1", "localhost:4318", "https://localhost:4318", False),
        ("127.0.0.1", "localhost:4318", "http://localhost:4319", False),
        ("127.0.0.1", "localhost:4318", "http://127.0.0.1:4318", False),
        ("127.0.0.1", "evil.example", "http://evil.example", False),
        ("0.0.0.0", "evil.example:4318", "http://evil.example:4318", False),
        ("0.0.0.0", "10.0.0.1:4318", "http://10.0.0.1:4318", True),
        ("0.0.0.0", "10.0.0.1:4318", "null", False),
        ("0.0.0.0", "10.0.0.1:4318", "", False),
    ],
)
def test_origin(bound: str, host: str, origin: str, taken: bool) -> None:  # noqa: FBT001
    assert (Access(bound).refusal({"host": host, "origin": origin}) is None) is taken


def test_the_sentence_says_what_helps() -> None:
    assert Access("127.0.0.1").refusal({"host": "mine.test:4318"}) == (
        "Host 'mine.test' is not this viewer's; start it with --host mine.test, if it is"
    )
