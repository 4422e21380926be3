"""`TracebatonDistro`: which instrumentations load, and with which arguments. Imports no SDK.

Upstream's launcher calls `configure`, then the configurator, then `load_instrumentor` for each installed one
(opentelemetry/instrumentation/auto_instrumentation/_load.py).
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]

from tracebaton_configurator import settings
from tracebaton_configurator.configurator import OpenTelemetryConfigurator
from tracebaton_configurator.logs import own
from tracebaton_configurator.once import SAID
from tracebaton_configurator.start_up import launcher_directory, leave_launcher_directory

if TYPE_CHECKING:
    from opentelemetry.util._importlib_metadata import EntryPoint

_UPSTREAM_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"
# The instrumentations whose ASGI middleware takes `exclude_spans` (fastapi since 0.49b0).
_ASGI = ("fastapi", "starlette")


class TracebatonDistro(BaseDistro):  # type: ignore[misc]
    """Found by the entry point `opentelemetry_distro`, chosen by `OTEL_PYTHON_DISTRO=tracebaton`."""

    configured = False
    instrumented: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def _configure(self, **_: Any) -> None:
        TracebatonDistro.configured = True
        logging.getLogger(_UPSTREAM_LOADER).addFilter(_wanted)
        settings.choose()
        try:
            here = settings.current()
            settings.hand_down(here)
            if not here.children:
                from tracebaton_configurator.children import leave_children_alone

                private = (settings.INHERITED_NAME, SAID)
                leave_children_alone(launcher_directory(), os.getcwd(), private)  # noqa: PTH109 (see there)
            leave_launcher_directory()
        except Exception as error:  # noqa: BLE001 (the application must start whatever happens here)
            OpenTelemetryConfigurator.failed = error

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """Activate one instrumentation; one that fails is reported in one line and skipped, never raised.

        Upstream gives up on all that follow when one raises anything but ImportError.
        """
        if OpenTelemetryConfigurator.failed is not None or settings.current().disabled:
            return
        name = entry_point.name
        if name in _ASGI and not settings.current().asgi_event_spans:
            kwargs["exclude_spans"] = ["receive", "send"]
        _tell_gate("instrumenting", name)
        try:
            super().load_instrumentor(entry_point, **kwargs)
        except ModuleNotFoundError as error:
            # The usual case of an instrumentation whose library this application does not use: nothing is missing.
            own.debug("Instrumentation %s was skipped: %s", name, error)
        except Exception as error:  # noqa: BLE001 (what a stranger's code raises is not ours to predict)
            self.skipped = (*self.skipped, name)
            own.error(
                "Instrumentation %s failed and was skipped, the others go on: %s: %s", name, type(error).__name__, error
            )
        else:
            self.instrumented = (*self.instrumented, name)
            _tell_gate("instrumented", name)


def _tell_gate(what: str, name: str) -> None:
    """Let the gate know; where it does not fit, what is loaded works as upstream made it."""
    pipeline = OpenTelemetryConfigurator.pipeline
    if pipeline is None:
        return
    try:
        if pipeline.session is not None:
            getattr(pipeline.session, what)(name)
        if (what, name) == ("instrumented", "fastapi"):
            from tracebaton_configurator.company import respect_own_instrumentation

            respect_own_instrumentation()
    except ImportError:
        return  # the library that the instrumentation is for is not there
    except Exception as error:  # noqa: BLE001 (see above)
        own.error("The gate does not fit %s, upstream's path is taken: %s: %s", name, type(error).__name__, error)


def _wanted(record: logging.LogRecord) -> bool:
    """Drop upstream's warning that the configurator which was not chosen is not loaded: that was the choice."""
    return not str(record.msg).startswith("Configuration of %s not loaded")
