"""Settings that are right each by itself and do not go together."""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING

from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator.names import is_otlp

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tracebaton_configurator.settings.endpoint import Endpoint
    from tracebaton_configurator.settings.reader import Reader

_INSECURE = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
_PREFIX = "OTEL_TRACEBATON_"
_OURS = regex(rf"{_PREFIX}\w+")
_BATCH = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
# They take no argument (SDK specification, "General SDK Configuration").
_WITHOUT_ARGUMENT = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off")


def check_sampler(reader: Reader, sampler: str, argument: str | None) -> None:
    if argument is not None and sampler.lower() in _WITHOUT_ARGUMENT:
        reader.wrong(
            "OTEL_TRACES_SAMPLER_ARG",
            f"has no effect on the sampler {sampler}",
            "no argument, or OTEL_TRACES_SAMPLER=tracebaton for rules",
            f"{sampler} decides",
        )


def check_patches(reader: Reader, names: Collection[str]) -> None:
    """Patches that are not to be applied have to be known by name."""
    if not names:
        return
    from tracebaton_configurator.patching.catalogue import CATALOGUE

    unknown = sorted(set(names) - CATALOGUE.keys())
    if unknown:
        reader.wrong(
            ours.OTEL_TRACEBATON_DISABLED_PATCHES,
            f"names unknown patches ({', '.join(unknown)})",
            ", ".join(CATALOGUE),
            "the others are left out",
        )


def check_batch(reader: Reader, batch: int, queue: int) -> int:
    """The batch size that can be had: never more than the queue holds (SDK specification, "Batch Span Processor")."""
    if batch > queue and reader.text(_BATCH) is not None:
        reader.wrong(
            _BATCH,
            f"is more than the {queue} that the queue holds",
            "a number up to OTEL_BSP_MAX_QUEUE_SIZE",
            f"using {queue}",
        )
    return min(batch, queue)


def check_spool(reader: Reader, directory: str | None, exporters: Sequence[str]) -> None:
    size = ours.OTEL_TRACEBATON_SPOOL_MAX_MB
    said = any(problem.variable == size for problem in reader.problems)
    if directory is None and reader.text(size) is not None and not said:
        reader.wrong(
            size,
            "sets a size but no directory",
            "a size together with OTEL_TRACEBATON_SPOOL_DIR",
            "spans wait in memory",
        )
    elif directory is not None and not any(is_otlp(name) for name in exporters):
        reader.wrong(
            ours.OTEL_TRACEBATON_SPOOL_DIR,
            "applies to the exporter otlp, which is not selected",
            f"a directory together with {reader.deciding('OTEL_TRACES_EXPORTER')}=otlp",
            "no spool is kept",
        )


def check_insecure(reader: Reader, endpoint: Endpoint) -> None:
    """The scheme decides, before any `INSECURE` variable (OTLP exporter specification, "Configuration Options").

    Where the endpoint is an override, the variable may be about the standard one.
    """
    variable = reader.first_set(*_INSECURE)
    value = (reader.text(variable) or "").lower()
    if value and value not in ("true", "false"):
        used = "plaintext" if endpoint.insecure else "TLS"
        reader.wrong(variable, "is not a boolean", "true or false", f"using {used}")
    elif value and (value == "true") != endpoint.insecure and not endpoint.overrides:
        scheme, used = ("http", "plaintext") if endpoint.insecure else ("https", "TLS")
        reader.wrong(variable, f"contradicts the {scheme}:// of the endpoint", "one or the other", f"using {used}")


def check_propagators(reader: Reader) -> None:
    """Upstream has read the variable before any of this runs; for names that it does not know see `propagators`."""
    names = {name.strip().lower() for name in (reader.text("OTEL_PROPAGATORS") or "").split(",") if name.strip()}
    if "none" in names and len(names) > 1:
        reader.wrong(
            "OTEL_PROPAGATORS",
            "combines none with other names",
            "none, or names without it",
            "trace context is not propagated",
        )


def check_names(reader: Reader) -> None:
    """Variables of this project's own that there are not. Their values may be anything, and are not shown."""
    known = [name for name in vars(ours) if name.startswith("OTEL_")]
    unknown = [name for name in reader.names_like(_OURS) if name not in known]
    if unknown:
        from difflib import get_close_matches

        words = {name.removeprefix(_PREFIX): name for name in known}
        for name in unknown:
            near = get_close_matches(name.removeprefix(_PREFIX), words, 1, 0.7)
            hint = f" (did you mean {words[near[0]]}?)" if near else ""
            reader.note(name, f"{name} is unknown{hint}: nothing reads it.")
