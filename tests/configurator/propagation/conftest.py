"""A provider as `pipeline.start` builds it, whose spans stay in memory, for what arrives and for what outlives it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from opentelemetry import propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracebaton_configurator.propagation import incoming
from tracebaton_configurator.propagation.trust import Trust
from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.sampling.detached import DetachingTracerProvider
from tracebaton_configurator.sampling.late_spans import LateSpans
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def traced() -> Iterator[Callable[..., Any]]:
    """Makes the process a traced one, by rules: `spans()`, `tracer`, `sampler`, `late_spans`, `switch(off)`."""
    before, in_use = propagate.get_global_textmap(), incoming._in_use
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]))
    propagator.install()

    def make(rules: str = "*=1", *, trust: Any = True, slower_than: float | None = None) -> Any:
        sampler = TracebatonSampler(RuleRootSampler(RuleSet(effective_rules(rules))))
        ids, memory = DecisionIdGenerator(RandomIdGenerator()), InMemorySpanExporter()
        provider = DetachingTracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(memory))
        tracer, late_spans = provider.get_tracer("tests"), LateSpans(errors=True, slower_than=slower_than)
        incoming.use(tracer, sampler, Trust(trust), late_spans)

        def switch(*, off: bool) -> None:
            sampler.off = ids.off = off
            propagate.get_global_textmap().off = off  # type: ignore[attr-defined]

        return SimpleNamespace(
            tracer=tracer,
            provider=provider,
            sampler=sampler,
            late_spans=late_spans,
            switch=switch,
            spans=lambda: list(memory.get_finished_spans()),
        )

    yield make
    propagate.set_global_textmap(before)
    incoming._in_use = in_use
