"""Name and attributes of a request's SERVER span: upstream's own, remembered for the requests that come often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tracebaton_configurator.asgi.upstream_asgi import collect_request_attributes
from tracebaton_configurator.asgi.whole_route import whole_route
from tracebaton_configurator.redaction.text import current
from tracebaton_configurator.redaction.upstream import with_redacted_query
from tracebaton_configurator.sampling.app_routes import flattened

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from opentelemetry.trace import Tracer

_KEPT = 1024
_LONGEST_KEY = 1024
_MOST_MOUNTS = 100


class SpanDetails(Protocol):
    """How a SERVER span of an application is made: by which tracer, in which semantic conventions, and called what."""

    tracer: Tracer
    mode: Any

    def of(self, scope: MutableMapping[str, Any]) -> tuple[str, dict[str, Any]]: ...

    def error_type(self, error: Exception) -> str | None:
        """The span's `error.type` for a request that raised; None leaves what the status says."""


class Details:
    """What `OpenTelemetryMiddleware` would give the span of a request of `app` to start with.

    Upstream works it out anew for each request: it matches the routes a second time and decodes all headers four times.
    Here its two functions are called once for requests that differ in nothing but the client's port; what the port
    changes is found out by calling them with two different ones. A request with a query string is never remembered.
    """

    def __init__(self, app: Any, middleware: Any) -> None:
        self.tracer: Tracer = middleware.tracer
        self.mode = middleware._sem_conv_opt_in_mode  # noqa: SLF001
        self._app = app
        self._span_details: Callable[[Any], tuple[str, dict[str, Any]]] = middleware.default_span_details
        self._known: dict[tuple[Any, ...], tuple[str, dict[str, Any], tuple[str, ...]]] = {}
        self._watched: list[tuple[Any, list[Any]]] = []
        self._version = -1
        self._has_mounts = False
        self._pure = False

    def of(self, scope: MutableMapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Span name and attributes; the dictionary is the caller's. Never raises.

        Upstream raises for a query string that is not UTF-8; such a request's span has what is certain.
        """
        try:
            return self._remembered(scope)
        except Exception:  # noqa: BLE001 (a request does not fail for what its span is called)
            method = scope.get("method")
            return method if isinstance(method, str) else "HTTP", {}

    def error_type(self, _: Exception) -> str | None:
        """Upstream's middleware says the status."""
        return None

    def _remembered(self, scope: MutableMapping[str, Any]) -> tuple[str, dict[str, Any]]:
        host = agent = None
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    return self._ask(scope)
                host = value
            elif name == b"user-agent":
                if agent is not None:
                    return self._ask(scope)
                agent = value
        client = scope.get("client")
        if not self._depends_on_the_key_only():
            return self._ask(scope)
        server = scope.get("server")
        if client is None or type(client[1]) is not int or client[1] <= 0 or scope.get("query_string"):
            return self._ask(_with_headers(scope, host, agent))
        key = (
            scope["type"],
            scope.get("method"),
            scope["path"],
            scope.get("root_path"),
            scope.get("scheme"),
            scope.get("http_version"),
            tuple(server) if server else None,
            host,
            agent,
            client[0],
        )
        known = self._known.get(key)
        if known is None:
            return self._learn(key, _with_headers(scope, host, agent))
        span_name, attributes, port_names = known
        attributes = attributes.copy()
        for port_name in port_names:
            attributes[port_name] = client[1]
        return span_name, attributes

    def _learn(self, key: tuple[Any, ...], scope: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        name, attributes = self._ask(scope)
        address, port = scope["client"]
        size = len(scope["path"]) + sum(len(value) for _, value in scope["headers"])
        # A path without a route is one of any number.
        if size <= _LONGEST_KEY and "http.route" in attributes:
            _, other = self._ask({**scope, "client": (address, port + 1)})
            port_names = tuple(one for one, value in attributes.items() if other.get(one) != value)
            if attributes.keys() == other.keys() and all(attributes[one] == port for one in port_names):
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[key] = name, attributes.copy(), port_names
        return name, attributes

    def _ask(self, scope: MutableMapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Upstream, in the order of `OpenTelemetryMiddleware.__call__`."""
        name, additional = self.name_and_route(scope)
        attributes: dict[str, Any] = collect_request_attributes(with_redacted_query(scope), self.mode)
        attributes.update(additional)
        return name, without_secrets(attributes)

    def name_and_route(self, scope: Any) -> tuple[str, dict[str, Any]]:
        """As upstream's `default_span_details`, with the whole route of a mounted application's request.

        A WebSocket, which has no method, is named by its route alone.
        """
        name, attributes = self._span_details(scope)
        self._depends_on_the_key_only()  # which looks for mounts where routes have changed
        if self._has_mounts and (whole := whole_route(self._app, scope)) is not None:
            known = attributes.get("http.route", "")
            name = f"{name.removesuffix(known).rstrip()} {whole}"
            attributes = {**attributes, "http.route": whole}
        if scope["type"] == "websocket":
            name = attributes.get("http.route", "WebSocket")
        return name, attributes

    def _depends_on_the_key_only(self) -> bool:
        """Whether no route looks at more than method and path, as `Host` does and a route class of one's own may.

        Routes can be added while the application runs; what was remembered before is forgotten then.
        """
        router = self._app.router
        # Routers that were included can change too; FastAPI counts that since 0.137.
        version = router._get_routes_version() if hasattr(router, "_get_routes_version") else 0  # noqa: SLF001
        known = version == self._version
        for owner, routes in self._watched:
            if owner.routes != routes:  # the same objects: compared by identity first
                known = False
        if not known:
            self._known.clear()
            self._version = version
            self._watched, self._pure = [], True
            self._look_at(router)
            self._has_mounts = len(self._watched) > 1
        return self._pure

    def _look_at(self, owner: Any) -> None:
        """The routes of a router or a mount, and of those mounted below."""
        routes = owner.routes
        # What is mounted may be of another framework, with a `routes` that is something else.
        if not isinstance(routes, list) or not all(hasattr(route, "matches") for route in routes):
            self._pure = False
            return
        routes = routes.copy()
        self._watched.append((owner, routes))
        self._pure = self._pure and all(
            type(route).__module__.startswith(("starlette.", "fastapi.")) and type(route).__name__ != "Host"
            for route in routes
        )
        for route in flattened(routes):
            if getattr(route, "routes", None) is not None and len(self._watched) < _MOST_MOUNTS:
                self._look_at(route)


def _with_headers(scope: MutableMapping[str, Any], host: bytes | None, agent: bytes | None) -> dict[str, Any]:
    """The scope with the two headers that upstream reads, so that it need not decode the others to pass over them."""
    headers = [(name, value) for name, value in ((b"host", host), (b"user-agent", agent)) if value is not None]
    return {**scope, "headers": headers}


def without_secrets(attributes: dict[str, Any]) -> dict[str, Any]:
    """The same with what is secret in `url.query` hidden, which upstream does in `http.url` only."""
    query = attributes.get("url.query")
    if isinstance(query, str) and query:
        attributes["url.query"] = current().query(query)
    return attributes
