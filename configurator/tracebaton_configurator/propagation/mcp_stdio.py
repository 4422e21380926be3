"""Servers of MCP that a client starts and speaks to by pipes: traced as other children are, and of no request.

The SDK gives them an environment from scratch, six variables in all, for they may be anybody's programs. So a Python
is given what tracing starts by, and OpenTelemetry's variables, but those which may hold a secret or name this service;
nothing at all where spans are delivered with credentials, which are not for it, or printed, as its stdout is the
protocol's. What the application gives wins.
`OTEL_TRACEBATON_CHILDREN=false` takes it away again. Checked with mcp 1.10 to 2.3.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.incoming import NOWHERE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

_LAUNCHER = "/tracebaton_configurator/startup/autoload"
# It is for the Pythons that have it; another one would lose its own `sitecustomize`.
_UPSTREAMS = "/opentelemetry/instrumentation/auto_instrumentation"
_PYTHON = re.compile(r"python[\d.]*|tracebaton")
_KEPT_BACK = re.compile(r"HEADERS|SERVICE_NAME|RESOURCE_ATTRIBUTES|TOKEN|API_KEY|PASSWORD|SECRET")
_NOT_FOR_IT = re.compile(
    r"OTEL_EXPORTER_OTLP_(TRACES_)?HEADERS=.+|OTEL_\w*ENDPOINT=.*[@?].*|OTEL_\w*_EXPORTER=.*console.*", re.DOTALL
)


def patch_stdio(module: ModuleType, environ: Mapping[str, str]) -> None:
    """`environ` is this process's own."""
    opened = opened_nowhere(module.stdio_client)

    @wraps(module.stdio_client)
    def stdio_client(server: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            server = _with_tracing(server, environ)
        except Exception as error:  # noqa: BLE001 (it is started as it would be without)
            report_error("An MCP server could not be started traced", error)
        return opened(server, *args, **kwargs)

    put(module, "stdio_client", stdio_client)


def _with_tracing(server: Any, environ: Mapping[str, str]) -> Any:
    """A copy of these parameters; as they are where they are for another language, or have all that is needed."""
    given: Mapping[str, str] = server.env or {}
    wanted = (_LAUNCHER, _UPSTREAMS) if _is_this_python(server.command) else _LAUNCHER
    launchers = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path.endswith(wanted)]
    paths = [path for path in given.get("PYTHONPATH", "").split(os.pathsep) if path]
    if not launchers or launchers[0] in paths or not _PYTHON.fullmatch(os.path.basename(server.command)):  # noqa: PTH119
        return server
    if any(_NOT_FOR_IT.fullmatch(f"{name}={value}") for name, value in environ.items()):
        return server
    ours = {
        name: value
        for name, value in environ.items()
        if name.startswith(("OTEL_", "_OTEL_TRACEBATON_")) and not _KEPT_BACK.search(name)
    }
    return server.model_copy(update={"env": {**ours, **given, "PYTHONPATH": os.pathsep.join([*launchers, *paths])}})


def _is_this_python(command: str) -> bool:
    """By its directory, as the Pythons of virtual environments are links to one file."""
    found = shutil.which(command)
    return found is not None and os.path.dirname(found) == os.path.dirname(sys.executable)  # noqa: PTH120


def opened_nowhere(open_transport: Callable[..., AbstractAsyncContextManager[Any]]) -> Callable[..., Any]:
    """The same, whose tasks belong to nobody: they have a copy of the context that they are started in."""

    @asynccontextmanager
    @wraps(open_transport)
    async def opened(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        transport = open_transport(*args, **kwargs)
        with NOWHERE.entered():
            streams = await transport.__aenter__()
        try:
            yield streams
        except BaseException as error:
            if not await transport.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            await transport.__aexit__(None, None, None)

    return opened
