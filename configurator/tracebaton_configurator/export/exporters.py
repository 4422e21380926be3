"""What the settings' exporters are: this project's own delivery for OTLP, and any installed exporter by its name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

from tracebaton_configurator.export.forks import importing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tracebaton_configurator.export.export_result import ExportResult
    from tracebaton_configurator.settings.endpoint import Endpoint

_GROUP = "opentelemetry_{}_exporter"


class Client(Protocol):
    """Sends batches over OTLP, one at a time; `deadline` says how many seconds are left. `send` does not raise."""

    def send(self, payload: bytes, deadline: Callable[[], float]) -> ExportResult: ...
    def close(self) -> None: ...


class UnknownExporterError(ValueError):
    """No installed package provides an exporter of that name; `str()` says which names there are."""


def make_client(name: str, endpoint: Endpoint) -> Client:
    """What sends batches over OTLP in the endpoint's protocol, or in the one that the name asks for.

    Imports what it needs. Raises ValueError for a target of gRPC's that is to be sent to over HTTP.
    """
    is_target = endpoint.insecure_target is not None
    if name == "otlp_proto_http" or (name == "otlp" and endpoint.protocol != "grpc"):
        if is_target:
            raise ValueError(f"{name} does not know {endpoint.url}, a target of gRPC's")
        from tracebaton_configurator.export.http_client import HttpClient

        return HttpClient(endpoint)
    if is_target:
        from tracebaton_configurator.export.upstream_client import UpstreamClient

        return UpstreamClient(endpoint)
    from tracebaton_configurator.export.grpc_client import GrpcClient

    return GrpcClient(endpoint)


def import_all(name: str, endpoint: Endpoint) -> None:
    """Import what `make_client`, `make_encode` and what they return would import when they are needed first."""
    with importing():
        make_encode()
        make_client(name, endpoint)
        if endpoint.url.startswith("https:"):
            import ssl  # noqa: F401 (gevent replaces its contents, and warns only of modules that have taken those)


def make_encode() -> Callable[[Sequence[ReadableSpan]], bytes]:
    """From spans to an ExportTraceServiceRequest; upstream is asked where a span has something unforeseen."""
    from tracebaton_configurator.export.encode import Encoder

    encoder = Encoder()

    def encode(spans: Sequence[ReadableSpan]) -> bytes:
        try:
            return encoder.encode(spans)
        except Exception:  # noqa: BLE001 (nothing is lost by being encoded the long way)
            with importing():
                from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
            encoded: bytes = encode_spans(spans).SerializeToString()
            return encoded

    return encode


def load(name: str, signal: str) -> Any:
    """The class behind the entry point `name` of `opentelemetry_<signal>_exporter` (UnknownExporterError)."""
    group = _GROUP.format(signal)
    found = entry_points(group=group, name=name)
    if not found:
        known = sorted({point.name for point in entry_points(group=group)} | {"none"})
        raise UnknownExporterError(", ".join(known))
    return next(iter(found)).load()
