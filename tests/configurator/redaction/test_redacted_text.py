"""Values of secret parameters, and user and password, in queries, in URLs and in any text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton_configurator.redaction.names import Names
from tracebaton_configurator.redaction.text import LONGEST_QUERY, Redactor, use

SECRET = [
    *("token", "access_token", "refresh_token", "id_token", "accessToken", "X-Access-Token", "TOKEN", "csrf-token"),
    *("api_key", "apikey", "apiKey", "api-key", "x-api-key", "openai_api_key", "key", "KEY", "subscription-key"),
    *("password", "passwd", "pwd", "pass", "user[password]", "db.password", "password[]", "newPassword"),
    *("secret", "client_secret", "clientSecret", "sig", "signature", "Signature", "X-Amz-Signature"),
    *("X-Goog-Signature", "AWSAccessKeyId", "X-Amz-Security-Token", "X-Amz-Credential", "auth", "authorization"),
    *("session", "session_id", "sessionid", "JSESSIONID", "sid", "jwt", "code", "ticket", "otp", "assertion"),
    *("%74oken", "to%6ben", "%2574oken", "access%5Ftoken", "user%5Bpassword%5D", "a" * 300),
]
HARMLESS = [
    *("a", "q", "page", "sort_key", "keys", "keyword", "max_tokens", "tokenizer", "country_code", "author", "design"),
    *("passenger", "secretary", "session_count", "state", "id", "user", "encode", "codec", "", "%", "%zz", "monkey"),
]


@pytest.mark.parametrize("name", SECRET)
def test_secret_names(name: str) -> None:
    assert Names().is_secret(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_names(name: str) -> None:
    assert not Names().is_secret(name)


def test_the_setting_adds_names_and_takes_some_off() -> None:
    names = Names(["iban", "customer-id", "-code", "-token", "-X-Amz-Credential"])
    assert [names.is_secret(one) for one in ("iban", "IBAN", "customerId", "customer_id", "password")] == [True] * 5
    assert [names.is_secret(one) for one in ("code", "token", "x_token", "x-amz-credential")] == [False] * 4


@pytest.mark.parametrize(
    "name", ["authorization", "Cookie", "set-cookie", "set_cookie", "x_api_key", "proxy-authorization"]
)
def test_secret_headers(name: str) -> None:
    assert Names().is_secret_header(name)
    assert not Names([f"-{name}", "-authorization"]).is_secret_header(name)


R = Redactor()


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("token=abc", "token=REDACTED"),
        ("a=1&token=abc&b=%20", "a=1&token=REDACTED&b=%20"),
        ("token=a=b;c", "token=REDACTED"),
        ("token=", "token="),
        ("token", "token"),
        ("a=1;token=abc;x&b=2", "a=1;token=REDACTED&b=2"),
        ("a=x?token=abc", "a=x?token=REDACTED"),
        ("token=abc?d&b=2", "token=REDACTED&b=2"),
        ('token=it\'s "quoted" <b>', "token=REDACTED"),
        ("a=1#access_token=abc&b=2", "a=1#access_token=REDACTED&b=2"),
        ("next=https%3A%2F%2Fh%2F%3Ftoken%3Dabc%26x", "next=REDACTED"),
        ("next=https%253A%252F%252Fh%252F%253Ftoken%253Dabc", "next=REDACTED"),
        ("next=https%3A%2F%2Fh%2F%3Fa%3Db", "next=https%3A%2F%2Fh%2F%3Fa%3Db"),
        ("next=https%3A%2F%2Fme%3Apw%40h", "next=REDACTED"),
        ("t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "t=REDACTED"),
        ("t=eyJ", "t=eyJ"),
        ("amp;token=abc", "amp;token=REDACTED"),
        ("", ""),
        ("no pairs", "no pairs"),
        ("\udc80=\udc81", "\udc80=\udc81"),
        ("a=b&&=&", "a=b&&=&"),
    ],
)
def test_queries(query: str, left: str) -> None:
    assert R.query(query) == left
    assert R.url(f"http://h/p?{query}") == f"http://h/p?{left}"


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("/ws?token=abc", "/ws?token=REDACTED"),
        ("https://me:pw@h:1/p?a=1", "https://REDACTED:REDACTED@h:1/p?a=1"),
        ("https://me@h", "https://REDACTED:REDACTED@h"),
        ("https://me:p@w@h/", "https://REDACTED:REDACTED@h/"),
        ("https://h/@me/x", "https://h/@me/x"),
        ("https://h/cb#access_token=abc&state=1", "https://h/cb#access_token=REDACTED&state=1"),
        ("redis://:pw@h:6379/0", "redis://REDACTED:REDACTED@h:6379/0"),
        ("https://REDACTED:REDACTED@h/?token=REDACTED", "https://REDACTED:REDACTED@h/?token=REDACTED"),
        ("http://h/p", "http://h/p"),
        ("http://[", "http://["),
    ],
)
def test_urls(url: str, left: str) -> None:
    assert R.url(url) == left
    assert R.text(url) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "Client error '401 Unauthorized' for url 'http://me:pw@h/p?api_key=abc&a=1'\nFor more: https://x/401",
            "Client error '401 Unauthorized' for url 'http://REDACTED:REDACTED@h/p?api_key=REDACTED&a=1'\n"
            "For more: https://x/401",
        ),
        (
            "HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /p?api_key=abc (Caused by X('a=b'))",
            "HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /p?api_key=REDACTED "
            "(Caused by X('a=b'))",
        ),
        ('{"url": "http://h/?token=abc", "b": "c=d"}', '{"url": "http://h/?token=REDACTED", "b": "c=d"}'),
        ("SELECT * FROM t WHERE a = ? AND token = ?", "SELECT * FROM t WHERE a = ? AND token = ?"),
        ("token=abc, which is no URL", "token=abc, which is no URL"),
        ("what? a=b and mail me@example.com", "what? a=b and mail me@example.com"),
    ],
)
def test_texts(text: str, left: str) -> None:
    assert R.text(text) == left


@pytest.mark.parametrize(
    "hostile",
    [
        *(
            "?" * 60_000,
            "?a" * 30_000,
            "#a" * 30_000,
            "=" * 60_000,
            "a=1&" * 15_000,
            "a=1;" * 15_000,
            "http://" * 9_000,
        ),
        *("http://" + "a@" * 30_000, "a=" + "%3D" * 20_000, "?a=%3Fa%3D" * 6_000, "token=x&" * 8_000, "://@" * 15_000),
        "&".join(f"k{number}=1" for number in range(9_000)),
    ],
)
def test_it_takes_little_time_whatever_comes(hostile: str) -> None:
    """CPU time, and the best of several, for the machine may be busy: 31 ms is what upstream takes for some of them."""
    best, attempts = 1.0, 0
    while best >= 0.025 and attempts < 20:
        attempts += 1
        begun = time.thread_time()
        R.query(hostile)
        R.url(f"http://h/?{hostile}")
        R.text(f"http://h/?{hostile}")
        R.text(hostile)
        best = min(best, time.thread_time() - begun)
    assert best < 0.025


def test_a_long_query_is_cut() -> None:
    cut = R.query("token=abc&" + "x" * 60_000)
    assert cut.startswith("token=REDACTED&xxx")
    assert cut.endswith("x...")
    assert len(cut) <= LONGEST_QUERY + 10
    assert "abc" not in R.query("x" * (LONGEST_QUERY - 8) + "&token=abcabc")


@given(st.text(), st.sampled_from(["token", "Api-Key", "passWord"]), st.text("abc=?#;'\" %", max_size=8))
def test_nothing_raises_and_nothing_stays(before: str, name: str, value: str) -> None:
    text = f"{before}&{name}=SECRET{value.replace('&', '')}"
    assert "SECRET" not in R.query(text)
    assert "SECRET" not in R.url(f"http://h/p?{text}")
    once = R.text(text)
    assert R.text(once) == once


def test_one_for_the_process() -> None:
    try:
        assert use(["iban"]).query("iban=1&token=2") == "iban=REDACTED&token=REDACTED"
    finally:
        use(())
