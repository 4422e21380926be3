"""The form in which JSON users expect values of well-known classes, as orjson writes them, or its users do.

A class that shows itself in a way of its own may hide something: it has no form here, and is left to its repr. No
library is imported for this; a value of one that the application has not imported does not exist.
"""

from __future__ import annotations

import sys
from datetime import date, time
from enum import Enum
from typing import Any

NONE = object()
_MOST_ITEMS = 1000
# Modules and classes whose `str` says it all.
_AS_TEXT = (
    ("uuid", "UUID"), ("decimal", "Decimal"), ("pathlib", "PurePath"),
    ("ipaddress", "IPv4Address"), ("ipaddress", "IPv6Address"),
    ("pydantic", "SecretStr"), ("pydantic", "SecretBytes"), ("pydantic", "AnyUrl"),
)  # fmt: skip


def json_form(value: Any) -> Any:
    """A text, a number, or a dict or list whose items may need a form in their turn; `NONE` for none. May raise."""
    kind = type(value)
    if kind in (object, type, int, float, bool) or value is None:
        return NONE
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value if kind.__repr__.__module__ == "enum" else NONE
    for module, name in _AS_TEXT:
        known = getattr(sys.modules.get(module), name, None)
        if isinstance(known, type) and isinstance(value, known):
            return str(value) if _shows_itself_like(kind, known) else NONE
    if hasattr(kind, "__dataclass_fields__"):
        return _of_dataclass(value) if _has_made_repr(kind) else NONE
    for library, form in ((sys.modules.get("numpy"), _of_numpy), (sys.modules.get("pydantic"), _of_pydantic)):
        found = NONE if library is None else form(value, library)
        if found is not NONE:
            return found
    return NONE


def _shows_itself_like(kind: type, known: type) -> bool:
    """Whether a subclass shows itself like the class; those of its own library may do it otherwise."""
    if kind.__module__.partition(".")[0] == known.__module__.partition(".")[0]:
        return True
    parent: Any = next(
        one for one in kind.__mro__ if one.__module__.partition(".")[0] == known.__module__.partition(".")[0]
    )
    return all(getattr(kind, name) is getattr(parent, name) for name in ("__repr__", "__str__"))


def _has_made_repr(kind: Any) -> bool:
    """Whether `dataclasses` has made the class's repr, which is the only way it shows itself.

    One that is inherited shows the fields of another class.
    """
    owner = next(one for one in kind.__mro__ if "__repr__" in vars(one))
    if vars(owner).get("__dataclass_fields__") is not kind.__dataclass_fields__:
        return False
    code = getattr(getattr(kind.__repr__, "__wrapped__", None), "__code__", None)
    return code is not None and code.co_filename == "<string>" and kind.__str__ is object.__str__


def _of_dataclass(value: Any) -> dict[str, Any]:
    fields = type(value).__dataclass_fields__
    # A pseudo-field, such as a ClassVar, is no part of the repr.
    shown = [name for name, field in fields.items() if field.repr and field._field_type.name == "_FIELD"]  # noqa: SLF001
    return {name: getattr(value, name) for name in shown}


def _of_numpy(value: Any, numpy: Any) -> Any:
    if isinstance(value, (numpy.datetime64, numpy.timedelta64)):
        return str(value)
    if isinstance(value, numpy.generic):
        item = value.item()
        return NONE if type(item) is type(value) else item
    if isinstance(value, numpy.ndarray) and value.size <= _MOST_ITEMS:
        return value.tolist()
    return NONE


def _of_pydantic(value: Any, pydantic: Any) -> Any:
    model, kind = pydantic.BaseModel, type(value)
    methods = ("__repr__", "__str__", "__repr_args__", "__repr_str__")
    if not isinstance(value, model) or any(getattr(kind, name) is not getattr(model, name) for name in methods):
        return NONE
    fields = kind.model_fields
    shown = {name: getattr(value, name) for name, field in fields.items() if field.repr and not field.exclude}
    return {**shown, **(value.model_extra or {})}
