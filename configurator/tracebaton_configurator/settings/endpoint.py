"""Where spans go and how: the OTLP endpoint and protocol, by the rules of the OTLP exporter specification.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from re import compile as regex
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator.settings.headers import read_headers
from tracebaton_configurator.settings.overrides import ENDPOINT
from tracebaton_configurator.settings.problem import Problem

if TYPE_CHECKING:
    from tracebaton_configurator.settings.reader import Reader

GRPC = "grpc"
HTTP = "http/protobuf"
SECONDS = "a number of seconds above 0"
# Upstream's exporters read seconds, and nobody waits longer for one export.
_MOST_SECONDS = 120.0
_OF_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOL = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_INSECURE = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
_COMPRESSION = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION")
_TIMEOUT = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
# In the order in which upstream's exporters look: grpcio's, then those that everybody knows.
_PROXY = {GRPC: ("grpc_proxy", "https_proxy", "http_proxy"), HTTP: ("{scheme}_proxy", "all_proxy")}
_TLS = ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
# `urlsplit` drops tabs and line breaks without a word, and what HTTP refuses later costs every export.
_NOT_IN_URL = regex(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]")
_CONTROL = regex(r"[\x00-\x1f\x7f]")
# Names of gRPC's that are no URLs (https://github.com/grpc/grpc/blob/master/doc/naming.md). `dns:4317` is a host's.
_TARGET = regex(r"(?:dns|ipv4|ipv6|unix|unix-abstract|vsock):(?:///|/)?(?!\d+$)[^/].*")
_ACCEPTED = "http://HOST:PORT or https://HOST:PORT"
_OTHERWISE = "using the default endpoint on localhost"
_DEFAULT = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL with scheme and host, complete for its protocol: with `/v1/traces` where HTTP needs it.

    Or, for gRPC, a target such as `unix:///run/otlp.sock`; `insecure_target`, None for a URL, says whether it is
    plaintext.
    `timeout` is in seconds, as upstream reads its variable. `headers` are secret: they are where tokens are sent.
    `proxy` is the URL of a forward proxy. `tls` has the paths of the certificates to trust, of the client's key and of
    the client's certificate, each a PEM file or None. `overrides`: it is for metrics and logs as well, whatever the
    standard variables say, which are for other programs then.
    """

    url: str
    protocol: str
    compression: str = "none"
    timeout: float = 10.0
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    proxy: str | None = field(default=None, repr=False)
    tls: tuple[str | None, str | None, str | None] = (None, None, None)
    insecure_target: bool | None = None
    overrides: bool = False

    @property
    def insecure(self) -> bool:
        """Plaintext: the scheme decides, before any `INSECURE` variable (specification, "Insecure")."""
        return self.url.startswith("http://") if self.insecure_target is None else self.insecure_target

    def __str__(self) -> str:
        """The URL as it may be shown, without credentials; a query may hold a key."""
        if self.insecure_target is not None:
            return self.url
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def read_endpoint(reader: Reader) -> Endpoint:
    """Endpoint and protocol for traces, and how requests are made.

    The protocol variable decides; where it is unset, port 4318 means HTTP and anything else gRPC.
    """
    protocol = _read_protocol(reader)
    overrides = reader.text(ours.OTEL_TRACEBATON_ENDPOINT) is not None
    variable = reader.first_set(ours.OTEL_TRACEBATON_ENDPOINT, _OF_TRACES, ENDPOINT)
    url = reader.text(variable)
    if url is not None:
        url = checked_url(reader, variable, url, _INSECURE)
    if url is not None and protocol == HTTP and is_target(url):
        reader.wrong(variable, "is a target of gRPC's, which http/protobuf does not know", _ACCEPTED, _OTHERWISE)
        url = None
    if url is None:
        protocol = protocol or GRPC
        url = _DEFAULT[protocol]
        variable = ENDPOINT
    protocol = protocol or (HTTP if urlsplit(url).port == 4318 else GRPC)
    if protocol == HTTP and variable != _OF_TRACES:
        # The variable for all signals names a base; the one for traces is complete (specification, "Endpoint URLs").
        parts = urlsplit(url)
        url = parts._replace(path=parts.path.rstrip("/") + "/v1/traces").geturl()
    # gRPC has no deflate.
    known = ("none", "gzip") if protocol == GRPC else ("none", "gzip", "deflate")
    return Endpoint(
        url,
        protocol,
        reader.choice(reader.first_set(*_COMPRESSION), known, "none"),
        reader.parsed(reader.first_set(*_TIMEOUT), parse_seconds, 10.0, SECONDS, "10"),
        read_headers(reader, *_HEADERS, grpc=protocol == GRPC),
        None if is_target(url) else _read_proxy(reader, url, protocol),
        _read_tls(reader),
        _means_plaintext(reader, _INSECURE) if is_target(url) else None,
        overrides,
    )


def is_target(url: str) -> bool:
    """Whether this is one of gRPC's names that are no URLs, such as `unix:///run/otlp.sock`."""
    return _TARGET.fullmatch(url) is not None


def _means_plaintext(reader: Reader, insecure_variables: tuple[str, ...]) -> bool:
    """Where no scheme says so. Whoever set it wrong meant something by it: nothing is sent in plaintext for a typo."""
    insecure = reader.text(*insecure_variables)
    return insecure is None or insecure.lower() == "true"


def _read_proxy(reader: Reader, url: str, protocol: str) -> str | None:
    """The proxy for this endpoint; None for one that is named in `no_proxy`, or that no proxy could know.

    That is this host, or a name without a dot: a container beside this one. Upstream asks the proxy for the latter.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    names = [name.format(scheme=parts.scheme) for name in _PROXY[protocol]]
    variables = [spelled for name in names for spelled in (name, name.upper())]
    proxy = reader.text(*variables)
    if proxy is None or not ("." in host or ":" in host) or host == "::1" or host.startswith("127."):
        return None
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # not in typeshed

    unproxied = reader.text(*(["no_grpc_proxy"] if protocol == GRPC else []), "no_proxy", "NO_PROXY") or ""
    if proxy_bypass_environment(host, {"no": unproxied}) or _is_in_network(host, unproxied.split(",")):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        at = urlsplit(proxy)
        valid = at.scheme == "http" and bool(at.hostname) and at.port != 0
    except ValueError:  # a port that is no number, or out of range
        valid = False
    if not valid:
        # With its scheme, without which a password in it would not be recognised as one.
        accepted = "http://HOST:PORT of a proxy that is spoken to in plaintext"
        reader.problems.append(
            Problem(reader.first_set(*variables), proxy, "cannot be used", accepted, "spans are sent without a proxy")
        )
        return None
    return proxy


def _is_in_network(host: str, networks: list[str]) -> bool:
    """Whether an address is in one of the networks such as `10.0.0.0/8`; what is no network is passed over."""
    from contextlib import suppress
    from ipaddress import ip_address, ip_network

    for network in networks:
        with suppress(ValueError):
            if "/" in network and ip_address(host) in ip_network(network.strip(), strict=False):
                return True
    return False


def _read_tls(reader: Reader) -> tuple[str | None, str | None, str | None]:
    """https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options"""
    certificate, key, client = (
        reader.text(f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}") for name in _TLS
    )
    return certificate, key, client


def parse_seconds(value: str) -> float:
    """Up to an hour (ValueError). Numbers above `_MOST_SECONDS` are milliseconds, which is the specification's unit."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    seconds = number / 1000 if number > _MOST_SECONDS else number
    if not 0.0 < seconds <= 3600.0:
        raise ValueError("is not a number of seconds")
    return seconds


def note_milliseconds(reader: Reader, variable: str) -> str | None:
    """Say that a timeout is one in milliseconds; the seconds that upstream's exporters are to read in its place."""
    text = reader.text(variable)
    try:
        number = float(text or 0)
        seconds = parse_seconds(text or "")
    except ValueError:
        return None
    if number <= _MOST_SECONDS:
        return None
    reader.note(variable, f"{variable}={text} is read as milliseconds, {seconds:g}s: numbers up to 120 are seconds.")
    return f"{seconds:g}"


def _read_protocol(reader: Reader) -> str | None:
    variable = reader.first_set(*_PROTOCOL)
    value = reader.text(*_PROTOCOL)
    if value is None:
        return None
    lowered = value.lower()
    if lowered in (GRPC, HTTP):
        return lowered
    reader.wrong(variable, "is unknown", f"{GRPC} or {HTTP}", "the endpoint's port decides")
    return None


def checked_url(reader: Reader, variable: str, url: str, insecure_variables: tuple[str, ...]) -> str | None:
    """The URL of a receiver, with the scheme that is meant where it has none; None, and said, for one that is wrong."""
    target = is_target(url)
    if "://" not in url and not target:
        # Upstream would silently speak TLS to `otel-collector:4317`, which is never what was meant; an explicit
        # INSECURE variable says what was.
        scheme = "http" if _means_plaintext(reader, insecure_variables) else "https"
        if reader.text(*insecure_variables) is None:
            reader.wrong(variable, "has no scheme", _ACCEPTED, f"{scheme}:// is assumed")
        url = f"{scheme}://{url}"
    try:
        parts = urlsplit(url)
        valid = target or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:  # a port that is no number, or out of range
        valid = False
    reason = "is not a URL of a receiver"
    if valid and (_NOT_IN_URL.search(url) or _CONTROL.search(unquote(url))):
        valid, reason = False, "has a space, a line break or another control character"
    elif valid and not (parts.path + parts.query).isascii():
        valid, reason = False, "has a path that is not percent-encoded"
    if not valid:
        reader.wrong(variable, reason, _ACCEPTED, _OTHERWISE)
        return None
    return url
