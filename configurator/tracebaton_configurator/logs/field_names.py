"""Under which names the fields are written that tracebaton makes: `OTEL_TRACEBATON_LOG_FIELDS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.settings.log_fields import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping


class FieldNames:
    """`preset` also says in which form ids are written; `renamed` are pairs of a field and its name, which win."""

    def __init__(self, preset: str = "", renamed: tuple[tuple[str, str], ...] = ()) -> None:
        self._names = {**PRESETS.get(preset, {}), **dict(renamed)}
        self._preset = preset
        self.are_usual = not self._names

    def name(self, field: str) -> str:
        return self._names.get(field, field)

    def ids(self, ids: Mapping[str, Any]) -> dict[str, Any]:
        """The ids under the names, and in the form, in which they are written."""
        if self.are_usual:
            return dict(ids)
        return {self._names.get(name, name): self._shown(name, value) for name, value in ids.items()}

    def _shown(self, name: str, value: Any) -> Any:
        if self._preset == "gcp" and name == "trace_flags":
            return value == "01"
        if self._preset == "datadog" and name in ("trace_id", "span_id"):
            try:
                return str(int(value[-16:], 16))  # Datadog's own ids have 64 bits
            except (TypeError, ValueError):  # an id of the application's own
                return value
        return value


current = FieldNames()


def use(preset: str = "", renamed: tuple[tuple[str, str], ...] = ()) -> None:
    global current  # noqa: PLW0603 (a setting of the process)
    current = FieldNames(preset, renamed)
