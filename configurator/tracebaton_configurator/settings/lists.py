"""Variables of this project's own that hold a list: extras to write, callers to trust, names to redact, messages."""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING

from tracebaton_configurator import environment_variables as ours

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from tracebaton_configurator.settings.reader import Reader

_NAME = regex(r"-?[\w.$\[\]-]*\w[\w.$\[\]-]*")
# Meant as a switch, which there is not: what is written would only be the name of a parameter.
_NO_NAMES = ("none", "off", "on", "true", "false", "all")


def parse_extras(value: str) -> str | frozenset[str]:
    """`OTEL_TRACEBATON_LOG_EXTRAS`: a mode, or the names of the extras to write (ValueError)."""
    if value.lower() in ("masked", "all", "none"):
        return value.lower()
    names = [name.strip() for name in value.split(",") if name.strip()]
    # Whoever writes `true` or `off` means no extra of that name, and would lose all others.
    is_word = value.lower() in ("true", "false", "on", "off", "yes", "no", "mask", "redact")
    if is_word or not names or not all(name.replace(".", "_").replace("-", "_").isidentifier() for name in names):
        raise ValueError("is neither a mode nor a list of names")
    reserved = sorted({"masked", "all", "none"} & {name.lower() for name in names})
    if reserved:
        raise ValueError(f"combines {reserved[0]} with names")
    return frozenset(names)


def parse_redis_messages(value: str) -> frozenset[str]:
    """`OTEL_TRACEBATON_REDIS_MESSAGES` (ValueError)."""
    names = {name.strip().lower() for name in value.split(",") if name.strip()}
    if names == {"off"}:
        return frozenset()
    unknown = sorted(names - {"streams", "pubsub", "lists"})
    if unknown or not names:
        raise ValueError(f"has {unknown[0]!r}, which is none of them" if unknown else "names nothing")
    return frozenset(names)


def read_trust(reader: Reader) -> bool | tuple[IPv4Network | IPv6Network, ...]:
    """Whoever sets it means to keep somebody out, so a mistake closes: it lets nobody in."""
    variable = ours.OTEL_TRACEBATON_TRUST_PARENT
    value = reader.text(variable)
    if value is None:
        return True
    try:
        return _parse_trust(value)
    except ValueError as error:
        accepted = "true, false or networks such as 10.0.0.0/8,127.0.0.1"
        reader.wrong(variable, str(error), accepted, "using false, no caller is trusted")
        return False


def read_redact(reader: Reader) -> tuple[str, ...]:
    """Names that are added to the built-in list; one that begins with `-` is taken off it."""
    variable = ours.OTEL_TRACEBATON_REDACT
    names = [name.strip() for name in (reader.text(variable) or "").split(",") if name.strip()]
    right = [name for name in names if _NAME.fullmatch(name) and name.lower() not in _NO_NAMES]
    if len(right) < len(names):
        wrong = ", ".join(repr(name) for name in names if name not in right)
        accepted = "names of query parameters and headers, -name for one that is not to be hidden"
        reader.wrong(
            variable, f"has {wrong}, which is not a name", accepted, "using the built-in names and the valid ones"
        )
    return tuple(right)


def _parse_trust(value: str) -> bool | tuple[IPv4Network | IPv6Network, ...]:
    lowered = value.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    from ipaddress import ip_network

    networks = [part.strip() for part in value.split(",") if part.strip()]
    try:
        if not networks:
            raise ValueError
        return tuple(ip_network(part, strict=False) for part in networks)
    except ValueError:
        raise ValueError("is neither a boolean nor a list of networks") from None
