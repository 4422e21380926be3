"""All variants of one application, two at a time, and what of them is not as plain."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from equality_compare import differences
from equality_run import Observation, observe
from equality_variants import DISABLED, FULL, PLAIN, TRACED
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equality_apps import App
    from equality_variants import Variant
    from harness import System

_MARK = "equality.run"
# As many as this kind of machine has; it is wanted that they disturb one another.
_AT_ONCE = 2


def compared(app: App, system: System, variants: Sequence[Variant] = TRACED) -> list[str]:
    """A line for everything that is not as plain, which names the variant."""
    marks = {variant.name: uuid.uuid4().hex for variant in variants}

    def run(variant: Variant) -> Observation:
        marked = {"OTEL_RESOURCE_ATTRIBUTES": f"{_MARK}={marks.get(variant.name, '')}"}
        shared = {"OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint, "REDIS_URL": system.redis_url}
        return observe(app, variant, {**shared, **marked})

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        plain, *traced = pool.map(run, (PLAIN, *variants))
    receiver = int(system.grpc_endpoint.rpartition(":")[2])
    found = []
    for variant, observation in zip(variants, traced, strict=True):
        found += [f"{variant.name}: {one}" for one in differences(app, variant, plain, observation, receiver)]
        found += [f"{variant.name}: {one}" for one in _spans(app, variant, system, marks[variant.name])]
    return found


def _spans(app: App, variant: Variant, system: System, mark: str) -> list[str]:
    """A comparison of what is not traced proves nothing; and what is silent or disabled sends nothing."""
    at_least = app.spans_expected if variant is FULL else 0
    count = wait_for(lambda: (found := _arrived(system, mark)) >= at_least and found, 5 if at_least else 0) or 0
    if count < at_least:
        return [f"{count} spans arrived, expected are {at_least}"]
    if count and (app.silent or variant is DISABLED):
        return [f"{count} spans arrived, expected are none"]
    return []


def _arrived(system: System, mark: str) -> int:
    return system.children["receiver"].stdout.read_bytes().count(mark.encode())
