"""Who is speaking: the resource attributes of this process."""

from __future__ import annotations

import os
import platform
import re
import socket
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import ProcessResourceDetector, Resource

from tracebaton_configurator._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import TracerProvider

_INSTANCE = str(uuid.uuid4())
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
# Arguments can hold passwords, so the semantic conventions make them opt-in; SDKs before 1.45 sent them always.
_LEFT_OUT = ("process.command_args", "process.command_line")


def build_resource(service_name: str, launcher_version: str | None = None) -> Resource:
    """Ours first, then what the user's variables and detectors say, which win; the service name is settled already.

    https://opentelemetry.io/docs/specs/semconv/resource/
    """
    ours: dict[str, str] = {
        "host.name": socket.gethostname(),
        "host.arch": platform.machine(),
        "os.type": platform.system().lower(),
        "service.instance.id": _INSTANCE,
        "telemetry.distro.name": "tracebaton",
        "telemetry.distro.version": __version__,
    }
    container = container_id()
    if container:
        ours["container.id"] = container
    if launcher_version:
        ours["telemetry.auto.version"] = launcher_version
    process = {
        name: value for name, value in ProcessResourceDetector().detect().attributes.items() if name not in _LEFT_OUT
    }
    return Resource({**process, **ours}).merge(Resource.create()).merge(Resource({"service.name": service_name}))


def renew_in_children(provider: TracerProvider) -> None:
    """Have a forked child speak under its own `process.pid` and `service.instance.id`, if that is not the user's.

    Checked with SDK 1.42.0, which leaves a child its parent's resource, and 1.45.2, which renews what its own detectors
    found. Both share one `Resource` between the provider and its tracers. Call it after the provider is made, for these
    hooks run in the order of their registration.
    """
    known = weakref.ref(provider)

    def renew() -> None:
        provider = known()
        if provider is None:
            return
        resource = provider.resource
        attributes = dict(resource.attributes)
        if "process.pid" in attributes:
            attributes["process.pid"] = os.getpid()
            attributes["process.parent_pid"] = os.getppid()
        if attributes.get("service.instance.id") == _INSTANCE:
            attributes["service.instance.id"] = str(uuid.uuid4())
        if hasattr(resource, "_attributes"):
            resource._attributes = BoundedAttributes(attributes=attributes, immutable=True)  # noqa: SLF001

    os.register_at_fork(after_in_child=renew)


def container_id() -> str | None:
    """The id of the container this process runs in, 64 hexadecimal digits; None outside, or where it is hidden."""
    for path, wanted in (("/proc/self/cgroup", ""), ("/proc/self/mountinfo", "/containers/")):
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found = _container_id_in(line for line in lines if wanted in line)
        if found:
            return found
    return None


def _container_id_in(lines: Iterable[str]) -> str | None:
    """Cgroup v1 names the container in its path; under v2 the path is `/`, but Docker and containerd mount
    `/etc/hostname` and its kin from a directory that is named by the id.
    """
    for line in lines:
        match = _CONTAINER_ID.search(line)
        if match:
            return match[0]
    return None
