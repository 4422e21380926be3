"""The private names of FastAPI's own telemetry that this package uses. Checked with FastAPI 0.142 to 0.165."""

from fastapi.telemetry import _asgi

SCHEMA_URL: str = _asgi._SCHEMA_URL  # noqa: SLF001
SENSITIVE: frozenset[str] = _asgi._SENSITIVE_QUERY_PARAMETERS  # noqa: SLF001
METHODS: frozenset[str] = getattr(_asgi, "_HTTP_METHODS", frozenset())
server_attributes = _asgi._server_attributes  # noqa: SLF001
