"""Which names are those of secrets, by whole words: `apiKey` and `x-api-key` are, `prompt_tokens` is not."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRET = _words("""
    authorization cookie cookies password passwords passwd pwd passphrase passphrases passcode secret secrets
    credential credentials creds bearer jwt jwts
""")
# Two words in a row, which may also be written as one.
_PAIRS = frozenset(
    (first, second)
    for firsts, seconds in (
        ("api access private secret signing encryption master auth session ssh account", "key keys"),
        ("api access refresh auth bearer csrf xsrf session id security", "token tokens"),
        ("session", "id ids"),
        ("db user smtp mail redis admin root", "pass"),
        ("basic proxy http x", "auth"),
    )
    for first in _words(firsts)
    for second in _words(seconds)
)
_TOGETHER = frozenset(first + second for first, second in _PAIRS)
# How words end that are written together with others: `dbpassword`, `clientsecret`, `phpsessid`.
_ENDINGS_OF_NAMES = (
    "authorization", "password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials",
    "apikey", "accesskey", "secretkey", "privatekey", "sessionid", "sessid",
)  # fmt: skip
_ENDINGS = (*_ENDINGS_OF_NAMES, "cookie", "token")
# Of language models and of paging: a `token` beside one of these is a unit, a limit or a mark.
_COUNTED_BEFORE = _words("""
    max min first last next per total num n prompt completion input output new stop eos bos pad unk sep cls mask special
    time previous prev continuation page
""")
_COUNTED_AFTER = _words("""
    count counts counter limit limits usage used budget length len size type types rate rates price cost total index
    number num per endpoint url uri expiry expires expiration exp ttl bucket ids logprob logprobs ms seconds
""")
# What such a name says about a secret, without holding one: `password_policy`, `authorization_endpoint`.
_ABOUT = _words("budget count counts endpoint expires expiry length limit limits policy size ttl type types usage")
_MOST_NAMES, _LONGEST_NAME = 2000, 100
_known: dict[object, bool] = {}
outcome_of = _known.get


def is_secret_name(name: str | bytes) -> bool:
    """Whether what stands under this name is a secret: split at capitals and whatever is neither letter nor digit."""
    outcome = outcome_of(name)
    if outcome is None:
        text = name.decode("latin-1") if isinstance(name, bytes) else str.__str__(name)
        outcome = _is_secret(text)
        if len(text) <= _LONGEST_NAME and type(name) in (str, bytes):
            if len(_known) >= _MOST_NAMES:  # an application that makes its names up as it goes
                _known.clear()
            _known[name] = outcome
    return outcome


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if words == ["auth"]:
        return True
    if words and words[-1] in _ABOUT:
        return False
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if word in _SECRET or word in _TOGETHER or (before, word) in _PAIRS:
            return True
        is_counted = word == "token" and (before in _COUNTED_BEFORE or after in _COUNTED_AFTER)
        if word.endswith(_ENDINGS) and not is_counted:
            return True
    return "".join(words).endswith(_ENDINGS_OF_NAMES)  # `passWord`, `API__Key`
