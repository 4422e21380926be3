"""What was measured, as one object that is written to a file and read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders import BARE

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Reading:
    """One contender in one scenario."""

    contender: str
    scenario: str
    start_rss: float  # MiB, when it listens
    end_rss: float = 0.0  # MiB, after all rounds
    requests: int = 0
    server_spans: int = 0
    delivered: float | None = None  # of the requests that it should have recorded; None: it should record none
    error: str = ""  # why this reading does not count
    rounds: list[list[float]] = field(default_factory=list)  # microseconds of CPU a request, one list a round

    @property
    def cpu(self) -> float:
        """Microseconds a request, the median of the rounds."""
        return median(median(each) for each in self.rounds)

    def ratio(self, bare: Reading) -> float:
        """To the bare server, round by round, then the median."""
        return median(median(own) / median(base) for own, base in zip(self.rounds, bare.rounds, strict=True))

    def lowest_ratio(self, bare: Reading) -> float:
        """The cheapest turn to the bare server's cheapest: what else the machine does only ever adds."""
        return min(map(min, self.rounds)) / min(map(min, bare.rounds))


@dataclass
class Start:
    """One contender's starts: seconds of CPU and MiB of resident memory, one value a start.

    Each after the first answer, and where something is recorded also after the first span has arrived: what is put off
    until then is paid all the same.
    """

    contender: str
    cpu: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    span_cpu: list[float] = field(default_factory=list)
    span_rss: list[float] = field(default_factory=list)

    def cpu_over(self, bare: Start, *, span: bool = False) -> float | None:
        """Seconds more than the bare server's start of the same round, the median of the rounds."""
        values = self.span_cpu if span else self.cpu
        return median(own - base for own, base in zip(values, bare.cpu, strict=True)) if values else None

    def rss_over(self, bare: Start, *, span: bool = False) -> float | None:
        values = self.span_rss if span else self.rss
        return median(values) - median(bare.rss) if values else None


@dataclass
class Count:
    """Instructions a request under callgrind: one contender, one scenario, counted more than once."""

    contender: str
    scenario: str
    counted: list[float]

    @property
    def instructions(self) -> float:
        return median(self.counted)

    @property
    def spread(self) -> float:
        """By how much the countings differ, as a share, without the two at the ends.

        A full garbage collection falls into one of them now and then.
        """
        middle = sorted(self.counted)[1:-1] or self.counted
        return (max(middle) - min(middle)) / self.instructions


@dataclass
class Results:
    """A whole run: on which machine, with what, and what came out."""

    machine: dict[str, str]
    settings: dict[str, Any]
    versions: dict[str, dict[str, str]]
    readings: list[Reading] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    worker_starts: list[Start] = field(default_factory=list)
    latencies: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)

    def latency(self, contender: str, which: int) -> float | None:
        """Microseconds, the median of the rounds: of half of the requests (0), of all but one in a hundred (1)."""
        rounds = self.latencies.get(contender)
        return median(each[which] for each in rounds) if rounds else None

    def latency_ratio(self, contender: str, which: int) -> float | None:
        """To the bare server, round by round, then the median."""
        own, bare = self.latencies.get(contender), self.latencies.get(BARE)
        return median(a[which] / b[which] for a, b in zip(own, bare, strict=True)) if own and bare else None

    def reading(self, contender: str, scenario: str) -> Reading | None:
        return next((each for each in self.readings if (each.contender, each.scenario) == (contender, scenario)), None)

    def count(self, contender: str, scenario: str) -> Count | None:
        return next((each for each in self.counts if (each.contender, each.scenario) == (contender, scenario)), None)

    def ratio(self, contender: str, scenario: str) -> float | None:
        """CPU a request to the bare server's, or None where one of the two was not measured."""
        own, bare = self.reading(contender, scenario), self.reading(BARE, scenario)
        return own.ratio(bare) if own and bare and not own.error else None

    def lowest_ratio(self, contender: str, scenario: str) -> float | None:
        own, bare = self.reading(contender, scenario), self.reading(BARE, scenario)
        return own.lowest_ratio(bare) if own and bare and not own.error else None

    def instruction_ratio(self, contender: str, scenario: str, bare_name: str = BARE) -> float | None:
        own, bare = self.count(contender, scenario), self.count(bare_name, scenario)
        return own.instructions / bare.instructions if own and bare else None

    def start(self, contender: str) -> Start | None:
        return next((each for each in self.starts if each.contender == contender), None)

    def start_over(self, contender: str, *, span: bool = False) -> float | None:
        """Seconds of CPU that the start takes over the bare server's, until the first answer or the first span."""
        own, bare = self.start(contender), self.start(BARE)
        return own.cpu_over(bare, span=span) if own and bare else None

    @property
    def names(self) -> list[str]:
        """The contenders in the order in which they were given."""
        return list(dict.fromkeys(each.contender for each in self.readings))

    @property
    def scenarios(self) -> list[str]:
        return list(dict.fromkeys(each.scenario for each in self.readings))

    def add(self, other: Results) -> None:
        """Take over what `other` has measured, in the place of the same here."""
        measured = {(each.contender, each.scenario) for each in other.readings}
        kept = [each for each in self.readings if (each.contender, each.scenario) not in measured]
        places = {key: place for place, key in enumerate((each.contender, each.scenario) for each in self.readings)}
        self.readings = sorted(
            [*kept, *other.readings],
            key=lambda each: places.get((each.contender, each.scenario), len(places)),
        )
        counted = {(each.contender, each.scenario) for each in other.counts}
        self.counts = [each for each in self.counts if (each.contender, each.scenario) not in counted] + other.counts
        self.starts = other.starts or self.starts
        self.worker_starts = other.worker_starts or self.worker_starts
        self.latencies = other.latencies or self.latencies
        self.memory = other.memory or self.memory

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        stored = json.loads(path.read_text())
        readings = [Reading(**each) for each in stored.pop("readings")]
        starts = [Start(**each) for each in stored.pop("starts")]
        counts = [Count(**each) for each in stored.pop("counts")]
        worker_starts = [Start(**each) for each in stored.pop("worker_starts", [])]
        return cls(**stored, readings=readings, starts=starts, counts=counts, worker_starts=worker_starts)
