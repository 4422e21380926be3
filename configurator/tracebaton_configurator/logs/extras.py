"""Which extras a line has, and what is shown of them: `OTEL_TRACEBATON_LOG_EXTRAS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.masking import masked, masked_form, masked_repr, masked_under
from tracebaton_configurator.logs.secret_names import is_secret_name
from tracebaton_configurator.logs.values import bounded_form, bounded_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Extras:
    """What the setting says. A set of names: those extras are written, even one with a secret-looking name.

    It is about what tracebaton adds to the application's own text, which shows no extras. structlog's renderers show
    all of an event: that stays as it is. A dict that is logged is masked, though its text would have been printed, as
    nothing in front of the standard library's text could have taken a field out of it; no field of it is left out.
    """

    def __init__(self, setting: str | frozenset[str] = "masked") -> None:
        self.masks = setting != "all"
        self.shown_repr: Callable[[object], str] = masked_repr if self.masks else bounded_repr
        self.shown_form: Callable[[Any], Any] = masked_form if self.masks else bounded_form
        self._names = setting if isinstance(setting, frozenset) else frozenset() if setting == "none" else None

    def writes(self, name: str) -> bool:
        return self._names is None or name in self._names

    def shown(self, name: str, value: Any) -> Any:
        """The value, as far as it is shown."""
        if not self.masks:
            return value
        return masked(value) if self._names is not None and name in self._names else masked_under(name, value)

    def hides(self, name: str) -> bool:
        """Whether a text of this name may be replaced by `[masked]`."""
        return self.masks and is_secret_name(name) and not (self._names is not None and name in self._names)

    def shown_fields(self, extras: Mapping[str, Any]) -> dict[str, Any]:
        """Those extras that are written, as far as they are shown."""
        return self.masked_fields({name: value for name, value in extras.items() if self.writes(name)})

    def masked_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """All of the fields, as far as they are shown."""
        return {name: self.shown(name, value) for name, value in fields.items()}
