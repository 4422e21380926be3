"""Which streams are, or were, the process's stdout or stderr: only what goes there is a log, and becomes JSON.

Text in memory, a file, a pipe to another program may be data of the application's; what a test captures is compared.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Any
from weakref import ref

_DESCRIPTORS = (1, 2)


_CLOSED = "closed"  # and then a file may get its number


def _identity_of(descriptor: int) -> str:
    """As `startup.begin` writes it: two with the same one lead to the same pipe, file or terminal."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return _CLOSED
    return f"{found.st_dev}:{found.st_ino}"


# Where they led as the process began; `startup` knows better than this module, which is imported later.
begun = {descriptor: _identity_of(descriptor) for descriptor in _DESCRIPTORS}
# By stream: its outcome; its descriptor, where a program may lead that elsewhere, and which file it led to then.
_known: dict[int, tuple[ref[Any], bool, int, int, int]] = {}
_UNKNOWN: Any = (object, False, 0, 0, 0)


def is_standard(stream: Any) -> bool:
    of, outcome, descriptor, device, number = _known.get(id(stream), _UNKNOWN)
    try:
        if of() is stream:
            found = os.fstat(descriptor) if descriptor else None
            if found is None or (found.st_ino == number and found.st_dev == device):
                return bool(outcome)
        outcome = _is_standard(stream)
        if type(stream) is TextIOWrapper:  # others may lead elsewhere later on
            _remember(stream, outcome)
    except Exception:  # noqa: BLE001 (a stream of the application's own may be anything)
        return False
    return bool(outcome)


def _remember(stream: Any, outcome: bool) -> None:  # noqa: FBT001
    key, descriptor = id(stream), stream.fileno()
    found = os.fstat(descriptor)
    standard = descriptor if descriptor in _DESCRIPTORS else 0
    _known[key] = ref(stream, lambda _: _known.pop(key, None)), outcome, standard, found.st_dev, found.st_ino


def is_in_memory(stream: Any) -> bool:
    """Whether this is no file, or a file without a name, such as a test's capture: nobody else will ever read it."""
    try:
        return not is_standard(stream) and os.fstat(stream.fileno()).st_nlink == 0
    except Exception:  # noqa: BLE001 (see above)
        return True


def _is_standard(stream: Any) -> bool:
    made_by = getattr(stream.write, "__globals__", {}).get("__name__", "").partition(".")[0]
    if made_by == "dramatiq":  # a worker's, which its master writes to its own
        return stream is sys.stdout or stream is sys.stderr
    if made_by == "gunicorn":  # Flask's errors: what gunicorn's own error log goes to
        return all(map(is_standard, stream.streams))
    found = os.fstat(stream.fileno())
    identity = f"{found.st_dev}:{found.st_ino}"
    if identity in begun.values():
        return True
    # Where a server, or a daemon, has led them since. A file without a name is a test's capture.
    now = [_identity_of(descriptor) for descriptor in _DESCRIPTORS if begun[descriptor] != _CLOSED]
    return found.st_nlink > 0 and identity in now
