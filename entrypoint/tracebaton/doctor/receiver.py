"""The way to the receiver, step by step, and a real span at the end of it."""

from __future__ import annotations

import time
from dataclasses import replace
from secrets import randbits
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracebaton.doctor.finding import Finding, Status, answer, error, ok, warning
from tracebaton.doctor.network import Clock, GaveUpError, lookup, open_connection, within
from tracebaton.doctor.tls import check_tls, speaks_tls
from tracebaton_configurator.export.address import Address
from tracebaton_configurator.export.export_result import Outcome
from tracebaton_configurator.export.exporters import make_client, make_encode
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.settings.overrides import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.export.export_result import ExportResult
    from tracebaton_configurator.settings import Endpoint

# All of this check together; the whole program has 3 s.
_SECONDS = 1.8
_LOOKUP = 1.2
_CONNECT = 1.0
# What is left for finding out who it is that did not take it.
_PEER = 0.5
_EITHER = "use 4317 for grpc and 4318 for http/protobuf, unless the Collector is configured otherwise"
# What a receiver says, and what is the matter then.
_REMEDIES = {
    ("unauthenticated", "permission_denied", "status 401", "status 403"): (
        "the receiver wants credentials: OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20TOKEN'"
    ),
    ("status 404", "not_found"): (
        "the path is wrong: OTEL_EXPORTER_OTLP_ENDPOINT is a base, to which /v1/traces is added; "
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it is"
    ),
    ("unimplemented",): "the receiver takes no traces: its pipeline for traces needs the receiver otlp",
}
_ITS_LOG = "ask the receiver's own log"


def check(situation: Situation) -> Iterator[Finding]:
    here = situation.settings
    over_otlp = [name for name in here.traces_exporters if is_otlp(name)]
    if here.disabled or not over_otlp:
        reason = "OTEL_SDK_DISABLED=true" if here.disabled else "no exporter for traces sends over OTLP"
        yield ok(f"not asked, as {reason}")
        return
    endpoint, clock = here.endpoint, Clock(_SECONDS)
    if not situation.send:
        yield ok(f"{endpoint} over {endpoint.protocol} was not asked, as --no-send says")
        return
    if endpoint.insecure_target is not None:
        # A name of gRPC's, which nobody but gRPC can look up.
        for name in over_otlp:
            yield _send(situation, name, None, clock)
        return
    address = Address(endpoint, 4318 if endpoint.protocol != "grpc" else 4317)
    yield from _conventions(endpoint, address, here.deciding(ENDPOINT))
    for finding in _way(address, endpoint, clock, here.deciding(ENDPOINT)):
        yield finding
        if finding.status is Status.ERROR:
            return
    for name in over_otlp:
        yield _send(situation, name, address, clock)


def _conventions(endpoint: Endpoint, address: Address, variable: str) -> Iterator[Finding]:
    """What is likely to be wrong by the conventions for ports and paths, before anybody has been asked."""
    parts = urlsplit(endpoint.url)
    if parts.port is None:
        yield warning(
            f"the endpoint has no port: {address.port} is taken", "write it, as in http://otel-collector:4317"
        )
    other = 4318 if endpoint.protocol == "grpc" else 4317
    if parts.port == other:
        whose = "http/protobuf" if endpoint.protocol == "grpc" else "grpc"
        yield warning(
            f"the protocol is {endpoint.protocol}, and port {other} is by convention that of {whose}", _EITHER
        )
    if parts.path.count("/v1/traces") > 1:
        yield warning(
            f"/v1/traces is twice in the path, as it is added to {variable}, which is a base",
            "leave /v1/traces out"
            + ("" if endpoint.overrides else ", or use OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which is taken as it is"),
        )
    if endpoint.protocol == "grpc" and parts.path not in ("", "/"):
        yield warning("gRPC has no paths: that of the endpoint is left out", "leave it out, or use http/protobuf")


def _way(address: Address, endpoint: Endpoint, clock: Clock, variable: str) -> Iterator[Finding]:
    """Name resolution, TCP and TLS; of the proxy where there is one, for nobody else can be asked then.

    `variable` is the one to set for all of it.
    """
    host, port, what = address.host, address.port, "the receiver"
    if address.proxy is not None:
        host, port, what = address.proxy.hostname or "localhost", address.proxy.port or 80, "the proxy"
        yield ok(
            f"exports go through the proxy {host}:{port} that the environment names",
            f"where that is not wanted: no_proxy={address.host}",
        )
    try:
        found = lookup(host, port, min(_LOOKUP, clock.left()))
    except GaveUpError:
        yield error(
            f"the name {host} was not resolved within {_LOOKUP:g} s: the DNS server does not answer",
            "check the container's network and its /etc/resolv.conf",
        )
        return
    except OSError as problem:
        yield error(
            f"the name {host} cannot be resolved: {problem.strerror or problem}",
            "it must be the Collector's name on a network that both containers are in; in compose, that of its service",
        )
        return
    if found != [host]:
        yield ok(f"{host} is {', '.join(found)}")
    try:
        open_connection(host, port, clock, _CONNECT).close()
    except TimeoutError:
        yield error(
            f"port {port} of {host} does not answer: packets to it are lost",
            "look for a firewall or network policy, and whether that address is the Collector's",
        )
        return
    except OSError as failure:
        is_local = host in ("localhost", "::1") or host.startswith("127.")
        in_container = ". In a container, localhost is that container itself" if is_local else ""
        yield error(
            f"port {port} of {host} refuses connections ({failure.strerror or failure}): nothing listens there"
            f"{in_container}",
            f"start the Collector, or set {variable} to where it is, such as "
            f"http://otel-collector:{port}; in its configuration the receiver must listen on 0.0.0.0",
        )
        return
    yield ok(f"port {port} of {what} accepts connections")
    if address.scheme == "https" and address.proxy is None:
        yield check_tls(address, endpoint, clock)


def _send(situation: Situation, name: str, address: Address | None, clock: Clock) -> Finding:
    """One span, as the application would send it; without an `address`, to a target of gRPC's."""
    endpoint = situation.settings.endpoint
    situation.trace_id, payload = _sample(situation.settings.service_name)
    reply = _deliver(name, endpoint, payload, clock.left() - _PEER)
    if reply is not None and reply.outcome is Outcome.DELIVERED:
        said = f"; it says: {reply.reason}" if reply.reason else ""
        if reply.rejected:
            return error(f"the receiver took the batch but not the test span{said}", _ITS_LOG)
        return answer(f"the receiver accepted the test span 'tracebaton doctor', trace {situation.trace_id}{said}")
    # Behind a proxy nobody can tell who answers.
    if address is not None and address.proxy is None:
        other = _another_protocol(name, endpoint, address, payload, clock)
        if other is not None:
            return other
    if reply is None:
        return error(
            "the receiver did not answer in time", "look whether it is overloaded, or something else listens there"
        )
    lowered = reply.reason.lower()
    remedies = (remedy for words, remedy in _REMEDIES.items() if any(word in lowered for word in words))
    return error(f"the test span was not accepted: {reply.reason}", next(remedies, _ITS_LOG))


def _deliver(name: str, endpoint: Endpoint, payload: bytes, seconds: float) -> ExportResult | None:
    """The answer to the project's own transport; None where there is none in time."""
    left = Clock(seconds).left
    try:
        return within(left() + 0.1, lambda: make_client(name, endpoint).send(payload, left))
    except GaveUpError:
        return None


def _another_protocol(name: str, endpoint: Endpoint, address: Address, payload: bytes, clock: Clock) -> Finding | None:
    """Whether the span is taken in another way."""
    where = f"port {address.port} of {address.host}"
    try:
        if address.scheme == "http" and speaks_tls(address, clock):
            return error(f"{where} speaks TLS, and the endpoint is http://", f"write https://{address.authority}")
    except OSError:
        return None
    grpc, http = ("grpc", 4317, ""), ("http/protobuf", 4318, "/v1/traces")
    is_grpc = name == "otlp_proto_grpc" or (name == "otlp" and endpoint.protocol == "grpc")
    (protocol, usual, _), (other, of_other, path) = (grpc, http) if is_grpc else (http, grpc)
    there = replace(endpoint, url=urlsplit(endpoint.url)._replace(path=path).geturl(), protocol=other)
    reply = _deliver("otlp", there, payload, clock.left())
    if reply is None or reply.outcome is not Outcome.DELIVERED:
        return None
    likely = f", or the port of {protocol}, http://{address.host}:{usual}" if address.port == of_other else ""
    return error(
        f"{where} takes spans over {other} and not over {protocol}, which is the protocol",
        f"set OTEL_EXPORTER_OTLP_PROTOCOL={other}{likely}",
    )


def _sample(service_name: str) -> tuple[str, bytes]:
    """A real span without a parent, as the application's exporter would send it: its trace id, and the request."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, TraceFlags

    from tracebaton_configurator import __version__
    from tracebaton_configurator.startup.resource import build_resource

    context = SpanContext(randbits(128) or 1, randbits(64) or 1, is_remote=False, trace_flags=TraceFlags(1))
    span = ReadableSpan(
        name="tracebaton doctor",
        context=context,
        resource=build_resource(service_name),
        instrumentation_scope=InstrumentationScope("tracebaton.doctor", __version__),
        start_time=time.time_ns() - 1_000_000,
        end_time=time.time_ns(),
    )
    return f"{context.trace_id:032x}", make_encode()([span])
