"""`TracebatonDistro`: what upstream's launcher asks for instrumentations, which wait here for their libraries.

The launcher calls `configure`, then the configurator, then `load_instrumentor` for each installed one
(opentelemetry/instrumentation/auto_instrumentation/_load.py). Below `tracebaton run` nobody calls any of these, unless
the application calls the launcher's `initialize()` by itself, which then changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]

from tracebaton_configurator import settings
from tracebaton_configurator.startup import instrumentations
from tracebaton_configurator.startup.import_paths import (
    launcher_directory,
    leave_launcher_directory,
    leave_out_httpx_client_on_import,
)
from tracebaton_configurator.startup.state import STATE

if TYPE_CHECKING:
    from opentelemetry.util._importlib_metadata import EntryPoint

_UPSTREAM_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"


class TracebatonDistro(BaseDistro):  # type: ignore[misc]
    """Found by the entry point `opentelemetry_distro`, chosen by `OTEL_PYTHON_DISTRO=tracebaton`."""

    def _configure(self, **_: Any) -> None:
        logging.getLogger(_UPSTREAM_LOADER).addFilter(_wanted)
        settings.choose()
        if STATE.distro:
            return
        STATE.distro = True
        try:
            here = settings.current()
            settings.hand_down(here)
            if here.children == "false":
                from tracebaton_configurator.startup.bring_up import working_directory
                from tracebaton_configurator.startup.children import leave_children_alone

                leave_children_alone(settings.environment(), launcher_directory(), working_directory())
            leave_launcher_directory()
            leave_out_httpx_client_on_import()
        except Exception as error:  # noqa: BLE001 (the application must start whatever happens here)
            STATE.failed = error

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """Have one instrumentation put in place when its library is imported."""
        if STATE.failed is not None or settings.current().disabled:
            return
        load = super().load_instrumentor
        instrumentations.take_one(
            entry_point, lambda: load(entry_point, **instrumentations.arguments_for(entry_point.name), **kwargs)
        )


def _wanted(record: logging.LogRecord) -> bool:
    """Drop upstream's warning that the configurator which was not chosen is not loaded: that was the choice."""
    return not str(record.msg).startswith("Configuration of %s not loaded")
