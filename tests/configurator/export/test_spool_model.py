"""The invariants at the head of `spool`, for any sequence of what processes, disks and other people do.

A process is a `Spool` here; one that is killed leaves its files as they are, and its locks are let go of.
"""

from __future__ import annotations

import copy
import errno
import os
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from faulty_os import CALLS, FaultyOs, Killed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from open_files import open_below
from peers import payload, span_ids

from tracebaton_configurator.export import (
    spool,
    spool_bound,
    spool_directory,
    spool_file,
    spool_own,
    spool_segment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (spool, spool_bound, spool_directory, spool_file, spool_own, spool_segment)
MOST = 120_000
BATCH = 6_000
ERRORS = [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EACCES, errno.EINTR, errno.ESTALE]
GARBAGE = [b"", b"\0" * 100, b"garbage", b"\xfa\x7f\x94\x80\x80\x00tbr1" + b"\xff" * 40, os.urandom(3000)]
STRANGER = 12345

which = st.integers(0, 4)


class Process:
    """A spool, and what this process knows."""

    def __init__(self, root: Path) -> None:
        self.spool = spool.Spool(str(root), MOST)

    def kill(self) -> None:
        """The kernel closes its descriptors, and so lets go of its locks."""
        self.spool.forget()


class Model(RuleBasedStateMachine):
    """Each batch is one span with a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.os = FaultyOs()
        for module in MODULES:
            self.patch.setattr(module, "os", self.os)
        self.patch.setattr(spool, "_LOOK_EVERY", 0.0)
        self.top = Path(tempfile.mkdtemp())
        self.root = self.top / "spool"
        self.processes: list[Process] = []
        self.next = 1
        self.waiting: set[int] = set()
        """Batches that were put and not delivered."""
        self.unsure: set[int] = set()
        """Whose `put` was cut short by a kill, or whose removal could not be written down: there, or not."""
        self.delivered: Counter[int] = Counter()
        self.counted = 0
        """Spans that were reported as evicted or corrupt, by those that lived to do so."""
        self.uncounted = 0
        """At most so many were not: whoever removed them was killed."""
        self.others: dict[Path, bytes | None] = {}
        self.messy = self.deadly = False

    @initialize(count=st.integers(1, 4), messy=st.booleans(), deadly=st.booleans())
    def begin(self, count: int, messy: bool, deadly: bool) -> None:  # noqa: FBT001
        """Where nobody puts anything there, and nobody is killed within a call, everything is counted exactly."""
        self.messy, self.deadly = messy, deadly
        self.processes = [Process(self.root) for _ in range(count)]

    def process(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    @contextmanager
    def living(self, process: Process) -> Iterator[None]:
        """Whatever happens within, the process is accounted for; a fault that was armed is gone afterwards."""
        self.os.fired = None
        try:
            yield
        except OSError:
            pass
        except Killed:
            self.uncounted += len(self.waiting) + len(self.unsure)  # it may have been about to count any of them
            self.os.dead = False
            process.kill()
            self.processes[self.processes.index(process)] = Process(self.root)
        finally:
            self.os.disarm()
            self.account(process)

    def account(self, process: Process) -> None:
        one = process.spool
        self.counted += one.evicted + one.corrupt_spans
        one.evicted = one.corrupt_spans = one.corrupt_files = 0

    @rule(after=st.integers(0, 25), error=st.sampled_from([*ERRORS, None, 0]), part=st.floats(0, 1))
    def something_will_fail(self, after: int, error: int | None, part: float) -> None:
        if error is not None or self.deadly:
            self.os.arm(after, error, part=part)

    @rule(error=st.sampled_from([*ERRORS, None, 0]), call=st.sampled_from(CALLS), part=st.floats(0, 1))
    def a_certain_call_will_fail(self, error: int | None, call: str, part: float) -> None:
        if error is not None or self.deadly:
            self.os.arm(0, error, only=call, part=part)

    @rule(which=which, error=st.sampled_from(ERRORS), part=st.floats(0, 1))
    def put_on_a_full_disk(self, which: int, error: int, part: float) -> None:
        self.os.arm(0, error, only="pwrite", part=part)
        self.put(which, 100)

    @rule(which=which, size=st.sampled_from([0, 0, 100, BATCH - 100]))
    def put(self, which: int, size: int) -> None:
        process, number = self.process(which), self.next
        self.next += 1
        self.unsure.add(number)
        with self.living(process):
            try:
                process.spool.put(payload(1, number, size), 1)
            except OSError:
                self.unsure.discard(number)  # invariant 2
                raise
            self.unsure.discard(number)
            self.waiting.add(number)

    @rule(which=which, count=st.integers(2, 15))
    def put_many(self, which: int, count: int) -> None:
        for _ in range(count):
            self.put(which, BATCH - 100)

    @rule(which=which, count=st.integers(1, 6), keep=st.booleans())
    def deliver(self, which: int, count: int, keep: bool) -> None:  # noqa: FBT001
        process = self.process(which)
        with self.living(process):
            process.spool.recover()
            for _ in range(count):
                entry = process.spool.oldest()
                if entry is None:
                    return
                content = process.spool.read(entry)
                if content is None:
                    continue
                (number,) = span_ids(content)  # never a part of a batch, nor anything else
                assert number in self.waiting | self.unsure
                if keep:
                    process.spool.postpone(entry)
                    continue
                self.waiting.discard(number)
                self.unsure.add(number)
                process.spool.remove(entry)
                if self.os.fired is None:
                    self.unsure.discard(number)
                    self.delivered[number] += 1

    @rule(which=which)
    def close(self, which: int) -> None:
        process = self.process(which)
        with self.living(process):
            process.spool.close()

    @rule(which=which)
    def kill(self, which: int) -> None:
        process = self.process(which)
        process.kill()
        self.processes[which % len(self.processes)] = Process(self.root)

    @precondition(lambda self: len(self.processes) < 5)
    @rule(which=which)
    def fork(self, which: int) -> None:
        """The child has every descriptor of its parent's, locks included, and forgets them."""
        one = self.process(which).spool
        child = Process(self.root)
        child.spool = copy.copy(one)
        child.spool._own = copy.copy(one._own)
        if (own := one._own._writer) is not None:
            child.spool._own._writer = own._replace(directory=os.dup(own.directory), lock=os.dup(own.lock))
        for name in ("_segment", "_reader"):
            if (opened := getattr(one, name)) is not None:
                setattr(child.spool, name, inherited := copy.copy(opened))
                inherited._descriptor = os.dup(opened._descriptor)
        child.spool._bound = copy.copy(one._bound)
        child.spool.forget()
        self.processes.append(child)

    @precondition(lambda self: self.messy)
    @rule(
        content=st.sampled_from(GARBAGE),
        kind=st.sampled_from(["segment", "old", "part", "nobody's"]),
        where=st.integers(0, 5),
        time=st.sampled_from([0, 10**19, 17 * 10**17]),
    )
    def garbage(self, content: bytes, kind: str, where: int, time: int) -> None:
        directory = self.directory(where)
        name = {
            "segment": f"{time:020d}-1.otlp",
            "old": f"{time:020d}-1-0-00000001.otlp",
            "part": f"{time:020d}-1-0-00000001.otlp.part",
            "nobody's": "README",
        }[kind]
        with suppress(FileExistsError), (directory / name).open("xb") as file:
            file.write(content)

    @precondition(lambda self: self.messy)
    @rule(
        kind=st.sampled_from(["fifo", "link", "directory", "stranger's file"]),
        name=st.sampled_from(["lock", f"{0:020d}-2.otlp", f"{1:020d}-1-1-00000000.otlp"]),
        where=st.integers(0, 5),
    )
    def something_else(self, kind: str, name: str, where: int) -> None:
        path = self.directory(where) / name
        if os.path.lexists(path):
            return
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to(self.top / "created-through-a-link")
        elif kind == "directory":
            path.mkdir()
        elif os.geteuid() == 0:
            path.write_bytes(b"theirs")
            os.chown(path, STRANGER, STRANGER)
            self.others[path] = b"theirs"

    @precondition(lambda self: self.messy and os.geteuid() == 0)
    @rule(name=st.sampled_from(["7-000000000000", "8-000000000000"]))
    def a_strangers_directory(self, name: str) -> None:
        directory = self.root / name
        if self.root.exists() and not os.path.lexists(directory):
            directory.mkdir()
            file = directory / f"{3:020d}-1.otlp"
            file.write_bytes(b"theirs")
            for path in (file, directory):
                os.chown(path, STRANGER, STRANGER)
            self.others[file] = b"theirs"

    def directory(self, where: int) -> Path:
        """One of a writer's, or a new one."""
        self.root.mkdir(exist_ok=True)
        there = sorted(
            path for path in self.root.iterdir() if path.name[0].isdigit() and path.stat().st_uid == os.geteuid()
        )
        if where < len(there):
            return there[where]
        made = self.root / f"1-{where:012x}"
        made.mkdir(exist_ok=True)
        return made

    @invariant()
    def descriptors_are_few(self) -> None:
        """Invariant 5, and nothing is leaked."""
        assert open_below(self.top) <= 6 * len(self.processes) + 1

    @invariant()
    def nothing_foreign_was_touched(self) -> None:
        """Invariant 6."""
        assert not os.path.lexists(self.top / "created-through-a-link")
        for path, content in self.others.items():
            assert path.read_bytes() == content

    @invariant()
    def no_directory_is_held_by_two(self) -> None:
        """Invariant 1."""
        held = [
            os.fstat(writer.directory).st_ino
            for process in self.processes
            if (writer := process.spool._own._writer) is not None
        ]
        assert len(held) == len(set(held))

    @invariant()
    def the_bound_is_kept(self) -> None:
        """Invariant 4; what makes no sense to the spool, under names of nobody's, is this test's."""
        used = 0
        for path in self.root.rglob("*") if self.root.exists() else ():
            if not path.is_symlink() and path not in self.others and path.name != "README":
                used += path.lstat().st_blocks * 512
        garbage = 6 * 4096 * 4 + 10 * 4096  # what was put there by `garbage` since somebody looked
        assert used <= MOST + len(self.processes) * (BATCH + 8192) + garbage

    def teardown(self) -> None:
        try:
            self.os.disarm()
            for process in self.processes:
                process.kill()
            if self.processes:
                self.last_one_finds_everything()
        finally:
            self.patch.undo()
            shutil.rmtree(self.top, ignore_errors=True)

    def last_one_finds_everything(self) -> None:
        """Invariant 3: nothing is lost that nobody has counted."""
        heir = Process(self.root)
        self.patch.setattr(spool_bound, "_UNSEEN_SECONDS", 0.0)
        found: Counter[int] = Counter()
        for _ in range(3):
            with suppress(FileNotFoundError):
                heir.spool.recover()
            while (entry := heir.spool.oldest()) is not None:
                content = heir.spool.read(entry)
                if content is not None:
                    found.update(span_ids(content))
                    heir.spool.remove(entry)
        self.account(heir)
        heir.spool.close()
        assert not found or max(found.values()) == 1
        assert set(found) <= self.waiting | self.unsure
        missing = len(self.waiting - set(found))
        assert missing <= self.counted + self.uncounted
        if not self.messy and not self.uncounted and not self.unsure:
            assert missing == self.counted


TestSpoolModel: Any = Model.TestCase
TestSpoolModel.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
