"""Who is speaking."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tracebaton_configurator import __version__
from tracebaton_configurator.startup import resource

if TYPE_CHECKING:
    import pytest

ID = "3f4ca5a02ae5a1b1d4a9b1b5d4b0e2f5c6d7e8f90123456789abcdef01234567"


def test_attributes() -> None:
    attributes = resource.build_resource("shop", "0.66b2").attributes
    assert attributes["service.name"] == "shop"
    assert attributes["host.name"] == socket.gethostname()
    assert attributes["process.pid"] == os.getpid()
    assert attributes["telemetry.distro.name"] == "tracebaton"
    assert attributes["telemetry.distro.version"] == __version__
    assert attributes["telemetry.auto.version"] == "0.66b2"
    assert len(str(attributes["service.instance.id"])) == 36


def test_arguments_of_the_command_line_are_left_out() -> None:
    """They can hold passwords."""
    attributes = resource.build_resource("shop").attributes
    assert not {"process.command_args", "process.command_line"} & attributes.keys()


def test_what_the_user_says_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=mine,deployment.environment=test,service.name=other")
    attributes = resource.build_resource("shop").attributes
    assert attributes["host.name"] == "mine"
    assert attributes["deployment.environment"] == "test"
    assert attributes["service.name"] == "shop"


def test_the_container_id_in_cgroup_v1() -> None:
    assert resource._container_id_in(["12:pids:/", f"11:cpu:/docker/{ID}"]) == ID


def test_the_container_id_in_cgroup_v2_mounts() -> None:
    line = f"733 708 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw"
    assert resource._container_id_in([line]) == ID


def test_no_container() -> None:
    assert resource._container_id_in(["0::/user.slice"]) is None


def test_a_forked_child_has_its_own_pid_and_instance() -> None:
    provider = TracerProvider(resource=resource.build_resource("shop"), shutdown_on_exit=False)
    resource.renew_in_children(provider)
    tracer = provider.get_tracer("test")
    before = dict(provider.resource.attributes)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            span = tracer.start_span("in the child")
            os.write(writing, json.dumps(dict(span.resource.attributes)).encode())  # type: ignore[attr-defined]
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        attributes = json.load(answer)
    os.waitpid(child, 0)
    assert attributes["process.pid"] == child
    assert attributes["service.instance.id"] != before["service.instance.id"]
    assert {name for name in before if before[name] != attributes[name]} == {
        "process.pid",
        "process.parent_pid",
        "service.instance.id",
    }
    assert dict(provider.resource.attributes) == before


def test_the_instance_is_renewed_where_the_sdk_does_not() -> None:
    """Which it does since 1.45, with an id of its own: so this provider and its resource are as those before."""

    class Provider:
        resource = Resource({"service.instance.id": resource._INSTANCE})

    provider = Provider()
    resource.renew_in_children(provider)  # type: ignore[arg-type]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(provider.resource.attributes["service.instance.id"]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    assert len(found) == 36
    assert found != provider.resource.attributes["service.instance.id"]
