"""Compares two observations of one application; every difference is a sentence."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from equality_differences import CPU_FACTOR, CPU_SECONDS, POOLED_THREADS, TRACED_DESCRIPTORS, TRACED_THREADS
from equality_output import readable, record_differences, same_in_any_run, text_differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from equality_apps import App
    from equality_run import Observation
    from equality_variants import Variant
    from process_tree import Process

_BLANK = re.compile(rb"\r?\n\r?\n")


def differences(app: App, variant: Variant, plain: Observation, traced: Observation, receiver: int) -> list[str]:
    """What of `traced` is not as in `plain` and not declared; `receiver` is the port that spans go to."""
    if plain.trouble or traced.trouble:
        return [f"{which} could not be run: {one.trouble}" for which, one in _both(plain, traced) if one.trouble]
    found = []
    if plain.status != traced.status:
        found.append(f"exit status {traced.status}, plain {plain.status}")
    found += _answers(plain, traced)
    found += _outputs(app, variant, plain, traced)
    found += _processes(variant, plain.processes, traced.processes, receiver)
    if traced.cpu > plain.cpu * CPU_FACTOR + CPU_SECONDS:
        found.append(f"{traced.cpu:.2f} s of CPU until ready, plain {plain.cpu:.2f} s")
    return found


def _both(plain: Observation, traced: Observation) -> tuple[tuple[str, Observation], ...]:
    return ("plain", plain), ("traced", traced)


def _answers(plain: Observation, traced: Observation) -> Iterator[str]:
    for (name, before), (_, after) in zip(plain.answers, traced.answers, strict=True):
        before, after = map(same_in_any_run, _without_same_body(before, after))  # noqa: PLW2901 (as they are compared)
        if before != after:
            at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
            here = slice(max(0, at - 40), at + 80)
            yield f"answer to {name}: at byte {at} {after[here]!r}, plain {before[here]!r}"


def _without_same_body(*answers: bytes) -> tuple[bytes, ...]:
    """A large one takes long to be read."""
    heads, bodies = zip(*((parts[0], parts[1:]) for parts in (_BLANK.split(one, 1) for one in answers)), strict=True)
    return heads if bodies[0] == bodies[1] else answers


def _outputs(app: App, variant: Variant, plain: Observation, traced: Observation) -> Iterator[str]:
    for name in sorted({*plain.outputs, *traced.outputs}):
        if name not in traced.outputs or name not in plain.outputs:
            yield f"the file {name} is {'missing' if name in plain.outputs else 'there'}"
            continue
        texts = [readable(one.outputs[name], own_lines=app.silent) for _, one in _both(plain, traced)]
        as_text = variant.text or app.silent
        compared = text_differences(*texts, ordered=not app.requests) if as_text else record_differences(*texts)
        yield from (f"{name} {difference}" for difference in compared)


def _processes(variant: Variant, plain: list[Process], traced: list[Process], receiver: int) -> Iterator[str]:
    commands = [Counter(_command(one) for one in found) for found in (plain, traced)]
    if commands[0] != commands[1]:
        yield f"processes {dict(commands[1])}, plain {dict(commands[0])}"
        return
    for before, after in zip(_sorted(plain), _sorted(traced), strict=True):
        yield from (f"{_command(after)}: {one}" for one in _descriptors(variant, before, after, receiver))
        yield from (f"{_command(after)}: {one}" for one in _threads(variant, before, after))


def _descriptors(variant: Variant, before: Process, after: Process, receiver: int) -> Iterator[str]:
    more = _kinds(after, receiver)
    more.subtract(_kinds(before, receiver))
    for kind, count in sorted(more.items()):
        allowed = next((times for what, times, _ in TRACED_DESCRIPTORS if what.fullmatch(kind)), 0)
        if not -0.5 < count < (allowed if variant.traced else 0) + 0.5:
            yield f"{count:+} descriptors of the kind {kind!r}"


def _threads(variant: Variant, before: Process, after: Process) -> Iterator[str]:
    allowed = TRACED_THREADS
    more = len(after.threads) - len(before.threads)
    pooled = POOLED_THREADS if len(before.threads) > 1 else 0
    if not -pooled <= more <= pooled + (allowed if variant.traced else 0):
        yield f"{more:+} threads: {after.threads}, plain {before.threads}"


def _kinds(process: Process, receiver: int) -> Counter[str]:
    """Descriptors by kind, with the port of the receiver called that, and without names that differ in any two runs."""
    kinds: Counter[str] = Counter()
    for kind, count in process.descriptors.items():
        named = "tcp connected to {receiver}" if kind == f"tcp connected to {receiver}" else kind
        kinds[
            re.sub(r"/equality-[^/]+/|(?<=/wgunicorn-)\w+|(?<=tracebaton-)\d+-\w+|(?<=connected to )\d+", "*", named)
        ] += count
    return kinds


def _command(process: Process) -> str:
    """As `ps` shows it, without the numbers and places of this run."""
    return re.sub(r"/\S*/|\d+", "", process.command)


def _sorted(found: list[Process]) -> list[Process]:
    return sorted(found, key=lambda one: (_command(one), sum(one.descriptors.values()), len(one.threads)))
