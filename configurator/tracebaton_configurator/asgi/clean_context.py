"""Every request begins in a clean OpenTelemetry context: its SERVER span has the parent of its headers, or none.

A server starts a request's task in whatever context it happens to be in: that of the application's import, or, for what
it reads at the end of a request (a connection kept alive, pipelining, a large body), the context of the request before.
asyncio leaks contexts besides (python/cpython#140947). Only the server knows where a request begins: what the
application itself puts around another ASGI application, such as a span, comes later and stays.

The application's own context variables stay, too. Checked with uvicorn 0.34 to 0.54, hypercorn 0.17 to 0.18 and granian
2.0 to 2.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, get_current

from tracebaton_configurator.patching.registry import apply_on_import

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    App = Callable[..., Awaitable[Any]]

_EMPTY = Context()


def begin_clean() -> None:
    """Patch the servers as they are imported."""
    apply_on_import("uvicorn-context", "uvicorn.server", _patch_uvicorn)
    apply_on_import("hypercorn-context", "hypercorn.app_wrappers", _patch_hypercorn)
    for kind in ("mp", "mt", "embed"):
        apply_on_import("granian-context", f"granian.server.{kind}", _patch_granian)


class CleanContext:
    """An ASGI application, called in the task of each request. `app` may take more arguments than ASGI has."""

    __slots__ = ("app",)

    def __init__(self, app: App) -> None:
        self.app = app

    # No coroutine of its own: that of `app` is returned.
    def __call__(self, scope: Any, *arguments: Any) -> Awaitable[Any]:
        if get_current():
            attach(_EMPTY)  # for as long as the task of the request lasts
        return self.app(scope, *arguments)


def _patch_uvicorn(server: ModuleType) -> None:
    """The application is loaded by then; a spawned worker may come to be traced only while it loads it."""
    original = server.Server.startup

    async def startup(self: Any, *args: Any, **kwargs: Any) -> None:
        self.config.loaded_app = CleanContext(self.config.loaded_app)
        await original(self, *args, **kwargs)

    server.Server.startup = startup


def _patch_hypercorn(app_wrappers: ModuleType) -> None:
    original = app_wrappers.ASGIWrapper.__init__

    def __init__(self: Any, app: App) -> None:  # noqa: N807
        original(self, CleanContext(app))

    app_wrappers.ASGIWrapper.__init__ = __init__


def _patch_granian(server: ModuleType) -> None:
    original = server._asgi_call_wrap  # noqa: SLF001

    def wrap(callback: App, *args: Any, **kwargs: Any) -> App:
        wrapped: App = original(CleanContext(callback), *args, **kwargs)
        return wrapped

    server._asgi_call_wrap = wrap  # type: ignore[attr-defined]  # noqa: SLF001
