"""The way to the receiver, step by step, and a real span at the end of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracebaton.doctor.effective import destination
from tracebaton.doctor.finding import Finding, Status, error, ok, warning
from tracebaton.doctor.network import GaveUpError, connect, lookup, within
from tracebaton.doctor.peer import what_answers
from tracebaton.doctor.situation import Clock
from tracebaton.doctor.tls import check_tls
from tracebaton_configurator.export.address import Address
from tracebaton_configurator.export.exporters import is_otlp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.settings import Endpoint

__all__ = ["check"]

# All of this check together; the whole program has 3 s.
_SECONDS = 1.8
_LOOKUP = 1.2
_CONNECT = 1.0
# What is left for finding out who it is that did not answer.
_PEER = 0.5
_EITHER = "use 4317 for grpc and 4318 for http/protobuf, unless the Collector is configured otherwise"


def check(situation: Situation) -> Iterator[Finding]:
    here = situation.settings
    over_otlp = [name for name in here.traces_exporters if is_otlp(name)]
    if here.disabled or not over_otlp:
        reason = "OTEL_SDK_DISABLED=true" if here.disabled else "no exporter for traces sends over OTLP"
        yield ok(f"not asked, as {reason}")
        return
    if not situation.send:
        yield ok(f"{destination(here)} was not asked, as --no-send says")
        return
    clock = Clock(_SECONDS)
    endpoint = here.endpoint
    if endpoint.insecure_target is not None:
        # A name of gRPC's, which nobody but gRPC can look up.
        for name in over_otlp:
            yield _send(situation, name, None, clock)
        return
    address = Address(endpoint, 4318 if endpoint.protocol != "grpc" else 4317)
    yield from _conventions(endpoint, address)
    for finding in _reach(address, clock):
        yield finding
        if finding.status is Status.ERROR:
            return
    if address.scheme == "https" and address.proxy is None:
        for finding in check_tls(address, endpoint, clock):
            yield finding
            if finding.status is Status.ERROR:
                return
    for name in over_otlp:
        yield _send(situation, name, address, clock)


def _conventions(endpoint: Endpoint, address: Address) -> Iterator[Finding]:
    """What is likely to be wrong by the conventions for ports and paths, before anybody has been asked."""
    parts = urlsplit(endpoint.url)
    if parts.port is None:
        yield warning(
            f"the endpoint has no port: {address.port} is taken", "write it, as in http://otel-collector:4317"
        )
    if endpoint.protocol == "grpc" and parts.port == 4318:
        yield warning("the protocol is grpc, and port 4318 is by convention that of http/protobuf", _EITHER)
    if endpoint.protocol != "grpc" and parts.port == 4317:
        yield warning("the protocol is http/protobuf, and port 4317 is by convention that of grpc", _EITHER)
    if parts.path.count("/v1/traces") > 1:
        yield warning(
            "/v1/traces is twice in the path, as it is added to OTEL_EXPORTER_OTLP_ENDPOINT, which is a base",
            "leave /v1/traces out, or use OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which is taken as it is",
        )
    if endpoint.protocol == "grpc" and parts.path not in ("", "/"):
        yield warning("gRPC has no paths: that of the endpoint is left out", "leave it out, or use http/protobuf")


def _reach(address: Address, clock: Clock) -> Iterator[Finding]:
    """Name resolution and TCP; of the proxy where there is one, for nobody else can be asked then."""
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
    failure = connect(host, port, clock, _CONNECT)
    if failure is None:
        yield ok(f"port {port} of {what} accepts connections")
        return
    in_container = ". In a container, localhost is that container itself" if _is_local(host) else ""
    if isinstance(failure, TimeoutError):
        yield error(
            f"port {port} of {host} does not answer: packets to it are lost",
            "look for a firewall or network policy, and whether that address is the Collector's",
        )
    else:
        yield error(
            f"port {port} of {host} refuses connections ({failure.strerror or failure}): nothing listens there"
            f"{in_container}",
            "start the Collector, or set OTEL_EXPORTER_OTLP_ENDPOINT to where it is, such as "
            f"http://otel-collector:{port}; in its configuration the receiver must listen on 0.0.0.0",
        )


def _send(situation: Situation, name: str, address: Address | None, clock: Clock) -> Finding:
    """One span, as the application would send it; without an `address`, to a target of gRPC's."""
    from tracebaton.doctor.sample import make_payload
    from tracebaton_configurator.export.export_result import Outcome
    from tracebaton_configurator.export.exporters import make_client

    endpoint = situation.settings.endpoint
    trace_id, payload = make_payload(situation.settings.service_name)
    situation.trace_id = trace_id
    try:
        left = clock.at_most(clock.left() - _PEER).left
        reply = within(left() + 0.1, lambda: make_client(name, endpoint).send(payload, left))
    except GaveUpError:
        reply = None
    if reply is not None and reply.outcome is Outcome.DELIVERED:
        said = f"; it says: {reply.reason}" if reply.reason else ""
        if reply.rejected:
            return error(f"the receiver took the batch but not the test span{said}", "ask the receiver's own log")
        return ok(f"the receiver accepted the test span 'tracebaton doctor', trace {trace_id}{said}")
    found = None if address is None else _who(clock, endpoint, address, name)
    if found is not None:
        return error(*found)
    if reply is None:
        return error(
            "the receiver did not answer in time", "look whether it is overloaded, or something else listens there"
        )
    return error(f"the test span was not accepted: {reply.reason}", _remedy(reply.reason))


def _who(clock: Clock, endpoint: Endpoint, address: Address, name: str) -> tuple[str, str] | None:
    """Who answers there, if that explains it."""
    if address.proxy is not None:
        return None
    protocol = (
        "http/protobuf" if name == "otlp_proto_http" else "grpc" if name == "otlp_proto_grpc" else endpoint.protocol
    )
    try:
        return what_answers(address, protocol, clock)
    except OSError:
        return None


def _remedy(reason: str) -> str:
    lowered = reason.lower()
    if (
        "unauthenticated" in lowered
        or "permission_denied" in lowered
        or "status 401" in lowered
        or "status 403" in lowered
    ):
        return "the receiver wants credentials: OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20TOKEN'"
    if "status 404" in lowered or "not_found" in lowered:
        return (
            "the path is wrong: OTEL_EXPORTER_OTLP_ENDPOINT is a base, to which /v1/traces is added; "
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it is"
        )
    if "unimplemented" in lowered:
        return "the receiver takes no traces: its pipeline for traces needs the receiver otlp"
    return "ask the receiver's own log"


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
