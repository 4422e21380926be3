"""Batches on disk: of several processes in one directory, killed, forked, full, corrupt, among other people's files."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from open_files import open_below
from peers import payload, span_ids
from processes import wait_for

from tracebaton_configurator.export import forks, spool_bound, spool_directory, spool_file
from tracebaton_configurator.export import spool as module
from tracebaton_configurator.export.spool import Spool
from tracebaton_configurator.export.spool_segment import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead writers are looked for whenever `recover` is called."""
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)


def contents(spool: Spool) -> list[bytes]:
    """Everything the spool would deliver, in order; removed, as if it had been."""
    found = []
    spool.recover()
    while (entry := spool.oldest()) is not None:
        payload = spool.read(entry)
        if payload is not None:
            found.append(payload)
            spool.remove(entry)
    return found


def files(root: Path) -> list[Path]:
    """Those that wait."""
    found = (path for path in root.glob("*/*.otlp") if not path.parent.name.startswith("corrupt"))
    return sorted(found, key=lambda path: path.name)


def disk(root: Path) -> int:
    """Bytes of disk below the directory, directories included."""
    return sum(path.lstat().st_blocks * 512 for path in root.rglob("*"))


def old_name(when: int, spans: int, content: bytes) -> str:
    """How 0.1.0 called a batch."""
    return f"{when:020d}-1-{spans}-{zlib.crc32(content):08x}.otlp"


class TestOneWriter:
    def test_first_in_first_out(self, tmp_path: Path) -> None:
        spool = Spool(str(tmp_path / "a" / "b"), 1_000_000)
        for number in range(20):
            spool.put(b"%d" % number, number)
        assert spool.evicted == 0
        entry = spool.oldest()
        assert entry is not None
        assert (entry.spans, entry.size) == (0, 1)
        assert contents(spool) == [b"%d" % number for number in range(20)]

    def test_names_are_as_documented_and_nobody_else_may_read(self, tmp_path: Path) -> None:
        old = os.umask(0)
        try:
            root = tmp_path / "root"
            Spool(str(root), 1_000_000).put(b"abc", 7)
        finally:
            os.umask(old)
        (file,) = files(root)
        assert re.fullmatch(r"(\d{20})-1\.otlp", file.name)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (root, file.parent, file, file.parent / "lock")]
        assert modes == [0o700, 0o700, 0o600, 0o600]

    def test_a_directory_that_an_operator_made_keeps_its_mode(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o1777)
        Spool(str(tmp_path), 1_000_000).put(b"abc", 7)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777

    def test_what_is_empty_disappears_and_the_rest_stays(self, tmp_path: Path) -> None:
        spool = Spool(str(tmp_path), 1_000_000)
        spool.put(b"abc", 1)
        spool.close()
        assert len(files(tmp_path)) == 1
        again = Spool(str(tmp_path), 1_000_000)
        assert contents(again) == [b"abc"]
        again.close()
        assert list(tmp_path.iterdir()) == []

    def test_the_directory_is_removed_under_it(self, tmp_path: Path) -> None:
        import shutil

        root = tmp_path / "root"
        spool = Spool(str(root), 1_000_000)
        for number in range(10):
            spool.put(b"%d" % number, 1)
            assert spool.oldest() is not None
            shutil.rmtree(root)
        assert 0 < open_below(root) <= 5
        spool.put(b"last", 1)
        assert contents(spool) == [b"last"]

    def test_small_batches_share_a_file(self, tmp_path: Path) -> None:
        """S7: 6600 inodes and 27 MB for 2 MB."""
        spool = Spool(str(tmp_path), 64_000_000)
        for _ in range(6600):
            spool.put(b"x" * 300, 1)
        assert len(files(tmp_path)) <= 3
        assert disk(tmp_path) < 6600 * 300 * 1.2
        assert len(contents(spool)) == 6600
        spool.close()
        assert list(tmp_path.iterdir()) == []

    def test_any_file_can_be_sent_by_hand(self, tmp_path: Path) -> None:
        """It holds what has not been delivered, and nothing else, at any time."""
        spool = Spool(str(tmp_path), 64_000_000)
        for first in range(0, 30, 3):
            spool.put(payload(3, first), 3)
        (file,) = files(tmp_path)
        for delivered in range(0, 30, 3):
            assert span_ids(file.read_bytes()) == list(range(delivered, 30))
            entry = spool.oldest()
            assert entry is not None
            assert span_ids(spool.read(entry) or b"") == list(range(delivered, delivered + 3))
            spool.remove(entry)
        assert not file.exists()

    def test_a_relative_directory_stays_where_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        spool = Spool("spool", 1_000_000)
        monkeypatch.chdir(tmp_path / "elsewhere")
        spool.put(b"a", 1)
        assert len(files(tmp_path / "spool")) == 1

    def test_a_clock_that_is_set_back_or_was_far_ahead(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spool = Spool(str(tmp_path), 1_000_000)
        now = time.time_ns()
        for number, when in enumerate([now + 10**18, now, now - 10**15]):
            monkeypatch.setattr(module.time, "time_ns", lambda when=when: when)
            spool.put(b"x" * 70_000, number)
        monkeypatch.undo()
        monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)
        found = []
        while (entry := spool.oldest()) is not None:
            found.append(entry.spans)
            spool.remove(entry)
        assert found == [0, 1, 2]

    def test_what_is_postponed_comes_after_all_others(self, tmp_path: Path) -> None:
        for name in range(3):
            dead = Spool(str(tmp_path), 1_000_000)
            dead.put(b"%d" % name, name)
            dead.close()
        spool = Spool(str(tmp_path), 1_000_000)
        spool.put(b"own", 9)
        spool.recover()
        first = spool.oldest()
        assert first is not None
        spool.postpone(first)
        found = set()
        for _ in range(3):
            entry = spool.oldest()
            assert entry is not None
            found.add(entry.spans)
            spool.remove(entry)
        assert found == {0, 1, 2, 9} - {first.spans}
        spool.recover()
        assert (again := spool.oldest()) is not None
        assert again.spans == first.spans

    @pytest.mark.parametrize("broken", ["unlink", "pwrite"])
    def test_a_disk_that_becomes_read_only_while_it_is_emptied(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
    ) -> None:
        """Nothing is delivered twice by this process."""
        spool = Spool(str(tmp_path), 1_000_000)
        for number in range(3):
            spool.put(b"%d" % number, 1)

        def fail(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system")

        spool.oldest()  # its file is complete now
        monkeypatch.setattr(os, broken, fail)
        assert contents(spool) == [b"0", b"1", b"2"]
        assert contents(spool) == []

    def test_no_directory_is_left_where_there_are_no_locks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsupported(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr("fcntl.flock", unsupported)
        spool = Spool(str(tmp_path), 1_000_000)
        for _ in range(5):
            with pytest.raises(OSError, match="Operation not supported"):
                spool.put(b"a", 1)
        assert list(tmp_path.iterdir()) == []


class TestBounds:
    def test_the_oldest_of_all_writers_make_room_and_are_counted(self, tmp_path: Path) -> None:
        first, second = (Spool(str(tmp_path), 200_000) for _ in range(2))
        for _ in range(4):
            first.put(b"a" * 10_000, 3)
        assert first.evicted == 0
        for _ in range(40):
            second.put(b"b" * 10_000, 5)
            assert disk(tmp_path) <= 200_000
        left = contents(second)
        assert b"a" * 10_000 not in left
        assert second.evicted + 5 * len(left) == 4 * 3 + 40 * 5

    def test_a_batch_that_is_larger_than_all_of_it(self, tmp_path: Path) -> None:
        spool = Spool(str(tmp_path), 100_000)
        spool.put(b"a", 1)
        with pytest.raises(OSError, match="larger than the spool takes"):
            spool.put(b"b" * 100_001, 1)
        assert contents(spool) == [b"a"]

    def test_what_others_and_dead_ones_have_left_counts_too(self, tmp_path: Path) -> None:
        """S7: 8 MB for 1 MB."""
        spools = [Spool(str(tmp_path), 1_000_000) for _ in range(8)]
        for _ in range(40):
            for spool in spools:
                spool.put(b"x" * 20_000, 1)
            assert disk(tmp_path) <= 1_000_000 + 8 * 24_576
        assert spools[0].evicted > 0

    def test_files_are_bounded_too(self, tmp_path: Path) -> None:
        for _ in range(300):
            dead = Spool(str(tmp_path), 64_000_000)
            dead.put(b"x", 1)
            dead.close()
        spool = Spool(str(tmp_path), 1_000_000)
        spool.put(b"x", 1)
        assert len(list(tmp_path.rglob("*"))) <= 256
        assert disk(tmp_path) <= 1_000_000

    def test_what_cannot_be_removed_is_said_and_nothing_is_added(self, tmp_path: Path) -> None:
        """Under a name of nobody's, in a writer's directory."""
        spool = Spool(str(tmp_path), 100_000)
        spool.put(b"a", 1)
        (files(tmp_path)[0].parent / "README").write_bytes(b"x" * 200_000)
        spool._bound.forget()
        with pytest.raises(OSError, match="cannot be removed; the bound is 100000"):
            spool.put(b"b", 1)

    def test_a_full_disk(self, tmp_path: Path) -> None:
        """RLIMIT_FSIZE makes write(2) fail, after a part of it."""
        code = f"""
import resource, signal
from tracebaton_configurator.export.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000 + 26, resource.RLIM_INFINITY))
spool = Spool({str(tmp_path)!r}, 1_000_000)
spool.put(b"a" * 1000, 1)
try:
    spool.put(b"b" * 1001, 1)
except OSError as error:
    print(error.strerror)
spool.put(b"c" * 1000, 1)
"""
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert out.stdout == "File too large\n"
        assert HEADER == 26
        spool = Spool(str(tmp_path), 1_000_000)
        assert contents(spool) == [b"a" * 1000, b"c" * 1000]
        assert spool.corrupt_spans == 0

    @pytest.mark.parametrize("where", ["/proc/spool", "/dev/null/spool"])
    def test_a_place_where_nothing_can_be_written(self, where: str) -> None:
        spool = Spool(where, 1000)
        with pytest.raises(OSError, match="."):
            spool.put(b"a", 1)
        with suppress(OSError):
            spool.recover()
        assert spool.oldest() is None
        spool.close()


class TestTroubledFiles:
    @pytest.fixture
    def left(self, tmp_path: Path) -> Path:
        """The directory of a writer that is gone, with one good batch in it."""
        spool = Spool(str(tmp_path), 1_000_000)
        spool.put(b"good", 1)
        spool.close()
        return files(tmp_path)[0].parent

    def test_what_0_1_0_left_is_delivered(self, tmp_path: Path, left: Path) -> None:
        for number in range(3):
            content = b"old %d" % number
            (left / old_name(number, 5, content)).write_bytes(content)
        assert contents(Spool(str(tmp_path), 1_000_000)) == [b"old 0", b"old 1", b"old 2", b"good"]

    def test_files_of_0_1_0_that_are_torn_are_counted_and_set_aside(self, tmp_path: Path, left: Path) -> None:
        for number, content in enumerate([b"conten", b"", b"contenT", b"content and more"]):
            (left / old_name(number, 5, b"content")).write_bytes(content)
        (left / (old_name(9, 5, b"content") + ".part")).write_bytes(b"con")
        spool = Spool(str(tmp_path), 1_000_000)
        assert contents(spool) == [b"good"]
        assert (spool.corrupt_spans, spool.corrupt_files) == (5 * 5, 5)
        assert contents(spool) == []
        assert spool.corrupt_files == 5
        spool.close()
        (corrupt,) = tmp_path.iterdir()
        assert corrupt.name == f"corrupt-{os.geteuid()}"
        assert len(list(corrupt.iterdir())) == 5

    @pytest.mark.parametrize("cut", [1, HEADER, HEADER + 1, HEADER + 29])
    def test_a_batch_that_is_cut_off_costs_itself(self, tmp_path: Path, cut: int) -> None:
        """As by a kill in the middle of `put`."""
        spool = Spool(str(tmp_path), 1_000_000)
        for number in range(3):
            spool.put(b"%030d" % number, 7)
        (file,) = files(tmp_path)
        os.truncate(file, file.stat().st_size - cut)
        spool.close()
        heir = Spool(str(tmp_path), 1_000_000)
        assert contents(heir) == [b"%030d" % number for number in range(2)]
        assert (heir.corrupt_spans, heir.corrupt_files) == (7 if cut <= 30 else 1, 1)

    def test_one_that_changed_costs_itself(self, tmp_path: Path) -> None:
        spool = Spool(str(tmp_path), 1_000_000)
        for number in range(3):
            spool.put(b"%030d" % number, 7)
        (file,) = files(tmp_path)
        content = bytearray(file.read_bytes())
        content[HEADER + 30 + HEADER + 3] ^= 1
        file.write_bytes(content)
        assert contents(spool) == [b"%030d" % number for number in (0, 2)]
        assert (spool.corrupt_spans, spool.corrupt_files) == (7, 1)

    def test_garbage_of_any_size_is_set_aside_unread(self, tmp_path: Path, left: Path) -> None:
        """S6: a file of 3 GiB was read as a whole."""
        for number, size in enumerate([0, 1, 5000, 3 << 30]):
            for name in (f"{number:020d}-1.otlp", old_name(number, 1, b"?")):
                (left / name).write_bytes(b"x" * min(size, 5000))
                os.truncate(left / name, size)
        (left / f"{9:020d}-{'9' * 60}-1-00000000.otlp").write_bytes(b"no name of ours")
        tracemalloc.start()
        spool = Spool(str(tmp_path), 1_000_000)
        assert contents(spool) == [b"good"]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()
        assert spool.corrupt_files == 7  # an empty one holds nothing
        spool.put(b"new", 1)  # a sparse file takes no disk

    def test_garbage_makes_room_first(self, tmp_path: Path, left: Path) -> None:
        (left / f"{1:020d}-1.otlp").write_bytes(b"x" * 90_000)
        spool = Spool(str(tmp_path), 100_000)
        spool.recover()
        assert contents(spool) == [b"good"]
        spool.put(b"a" * 20_000, 1)
        assert spool.evicted == 0
        assert list((tmp_path / f"corrupt-{os.geteuid()}").iterdir()) == []

    def test_other_files_are_left_alone(self, tmp_path: Path, left: Path) -> None:
        names = ["README", "1-2-3-00000000.otlp", f"{1:020d}-1-1-XYZ.otlp", f"{1:020d}-1-1-00000000.otlp~"]
        for name in names:
            (left / name).write_text("mine")
        spool = Spool(str(tmp_path), 1_000_000)
        assert contents(spool) == [b"good"]
        spool.close()
        assert sorted(path.name for path in left.iterdir() if path.name != "lock") == sorted(names)

    def test_what_is_no_file_is_passed_over(self, tmp_path: Path, left: Path) -> None:
        (left / f"{1:020d}-1-1-00000000.otlp").mkdir()
        (left / f"{2:020d}-1-1-00000000.otlp").symlink_to("/dev/zero")
        os.mkfifo(left / f"{3:020d}-1.otlp")
        spool = Spool(str(tmp_path), 1_000_000)
        assert contents(spool) == [b"good"]
        spool.put(b"a", 1)
        assert [sentence.split(" holds")[0] for sentence in spool.remarks] == [str(tmp_path)]

    def test_one_that_cannot_be_read_is_said_and_the_others_are_delivered(
        self, tmp_path: Path, left: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a bad disk; what cannot be read now is kept."""
        bad = left / f"{1:020d}-1-1-00000000.otlp"
        bad.write_bytes(b"x")
        read = spool_file.read_payload

        def read_or_fail(descriptor: int, record: Any) -> bytes | None:
            if record.size == 1:
                raise OSError(5, "Input/output error")
            return read(descriptor, record)

        monkeypatch.setattr(spool_file, "read_payload", read_or_fail)
        spool = Spool(str(tmp_path), 1_000_000)
        spool.recover()
        entry = spool.oldest()
        assert entry is not None
        with pytest.raises(OSError, match="Input/output"):
            spool.read(entry)
        following = spool.oldest()
        assert following is not None
        assert spool.read(following) == b"good"
        assert bad.exists()

    def test_one_that_somebody_removed_is_forgotten(self, tmp_path: Path, left: Path) -> None:
        spool = Spool(str(tmp_path), 1_000_000)
        spool.recover()
        entry = spool.oldest()
        assert entry is not None
        files(tmp_path)[0].unlink()
        spool.remove(entry)
        assert spool.oldest() is None
        assert spool.corrupt_spans == 0


class TestASharedDirectory:
    def test_what_others_have_there_is_never_touched(self, tmp_path: Path) -> None:
        """The spool's directory may be /tmp."""
        for name in ("theirs", "empty", "123-short", "tmp-0123456789ab"):
            (tmp_path / name).mkdir()
        (tmp_path / "theirs" / "file").write_text("precious")
        (tmp_path / "link").symlink_to(tmp_path / "theirs")
        (tmp_path / "file").write_text("precious")
        before = sorted(tmp_path.rglob("*"))
        spool = Spool(str(tmp_path), 1_000_000)
        for _ in range(3):
            spool.recover()
            spool.put(b"a", 1)
            assert contents(spool) == [b"a"]
        spool.close()
        assert sorted(tmp_path.rglob("*")) == before

    def test_another_users_directory_is_passed_over(self, tmp_path: Path) -> None:
        """For root, which these tests may run as, permission bits do not count: so its lock cannot be opened at all."""
        theirs = tmp_path / "12-0123456789ab"
        (theirs / "lock").mkdir(parents=True)
        (theirs / f"{1:020d}-1-1-00000000.otlp").write_bytes(b"")
        theirs.chmod(0)
        try:
            spool = Spool(str(tmp_path), 1_000_000)
            spool.put(b"mine", 1)
            assert contents(spool) == [b"mine"]
        finally:
            theirs.chmod(0o700)
        assert len(files(tmp_path)) == 1


WRITER = """
import sys, time
from tracebaton_configurator.export.spool import Spool
spool = Spool(sys.argv[1], 100_000_000)
number = 0
while number < int(sys.argv[3]):
    spool.put(b"%s:%d" % (sys.argv[2].encode(), number), 1)
    number += 1
    print(number, flush=True)
"""


def writer(root: Path, name: str, count: int, more: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER + more, str(root), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.wait(PATIENCE)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class TestSeveralProcesses:
    def test_killed_in_the_middle_nothing_that_was_written_is_lost_or_delivered_by_two(
        self, tmp_path: Path, processes: list[subprocess.Popen[str]]
    ) -> None:
        processes += [writer(tmp_path, str(number), 1_000_000) for number in range(4)]
        for process in processes:
            assert process.stdout
            while int(process.stdout.readline()) < 50:
                pass
        # While they write, nobody takes anything of theirs.
        assert contents(Spool(str(tmp_path), 100_000_000)) == []
        written = []
        for process in processes:
            process.kill()
            assert process.stdout
            written.append([50, *map(int, re.findall(r"(\d+)\n", process.stdout.read()))][-1])
            process.wait(PATIENCE)
        adopters = [Spool(str(tmp_path), 100_000_000) for _ in range(3)]
        found = [contents(one) for one in adopters]
        everything = [payload for part in found for payload in part]
        assert len(set(everything)) == len(everything)
        expected = {b"%d:%d" % (name, number) for name, count in enumerate(written) for number in range(count)}
        # The one that was being written as the process died may be there, or not, or in a part.
        assert expected <= set(everything)
        assert len(everything) <= len(expected) + 4
        for one in adopters:
            one.close()
        assert list(tmp_path.iterdir()) == []

    def test_many_adopters_at_once(self, tmp_path: Path, processes: list[subprocess.Popen[str]]) -> None:
        for number in range(12):
            process = writer(tmp_path, str(number), 10)
            processes.append(process)
        for process in processes:
            process.communicate(timeout=PATIENCE)
        code = """
import sys
from tracebaton_configurator.export.spool import Spool
sys.stdin.read()
spool = Spool(sys.argv[1], 100_000_000)
spool.recover()
while (entry := spool.oldest()) is not None:
    payload = spool.read(entry)
    if payload is not None:
        print(payload.decode())
        spool.remove(entry)
spool.close()
"""
        adopters = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        processes += adopters
        for one in adopters:
            assert one.stdin
            one.stdin.close()
        lines = []
        for one in adopters:
            assert one.stdout
            lines += one.stdout.read().split()
            one.wait(PATIENCE)
        assert sorted(lines) == sorted(f"{name}:{number}" for name in range(12) for number in range(10))

    def test_a_forked_child_does_not_hold_what_is_its_parents(
        self, tmp_path: Path, processes: list[subprocess.Popen[str]]
    ) -> None:
        """The parent dies, the child lives: another process takes over."""
        more = """
import os, signal
spool.recover()
child = os.fork()
if child == 0:
    spool.forget()
    spool.put(b"child", 1)
    print("forked", os.getpid(), flush=True)
    signal.pause()
signal.pause()
"""
        process = writer(tmp_path, "parent", 3, more)
        processes.append(process)
        assert process.stdout
        line = ""
        while not line.startswith("forked"):
            line = process.stdout.readline()
        child = int(line.split()[1])
        try:
            assert contents(Spool(str(tmp_path), 100_000_000)) == []
            process.kill()
            process.wait(PATIENCE)
            heir = Spool(str(tmp_path), 100_000_000)
            assert contents(heir) == [b"parent:0", b"parent:1", b"parent:2"]
        finally:
            os.kill(child, signal.SIGKILL)
        assert wait_for(lambda: contents(heir) == [b"child"], PATIENCE)

    def test_forks_while_another_thread_opens_and_adopts(
        self, tmp_path: Path, processes: list[subprocess.Popen[str]]
    ) -> None:
        """No child keeps a lock of the parent's, whenever it was forked."""
        code = """
import os, sys, threading
from tracebaton_configurator.export import forks, spool as module
forks._SECONDS = 60.0  # a busy machine may stop a thread for longer than a fork waits for it
module._LOOK_EVERY = 0.0
spools, stop = [], threading.Event()
def work():
    while not stop.is_set():
        one = module.Spool(sys.argv[1], 1_000_000)
        spools.append(one)
        one.put(b"x", 1)
        one.recover(); one.oldest()
thread = threading.Thread(target=work)
os.register_at_fork(after_in_child=lambda: [one.forget() for one in list(spools)])
thread.start()
for _ in range(100):
    child = os.fork()
    if child == 0:
        held = [link for name in os.listdir("/proc/self/fd")
                if (link := os.path.realpath(f"/proc/self/fd/{name}")).endswith("/lock")]
        os._exit(len(held))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        print("held", status)
    for one in spools[:-1]:
        one.close()
        spools.remove(one)
stop.set()
thread.join()
"""
        # Between `Spool` and `spools.append` there is nothing that holds a lock yet.
        out = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
        )
        assert (out.returncode, out.stdout) == (0, ""), out.stderr


def test_nobody_forks_while_a_dead_writers_directory_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that is forked in between would hold its lock for as long as it lives."""
    held = []

    def release(root: int, writer: Any, _release: Any = spool_directory.release_writer) -> bool:
        held.append(forks._lock.is_mine)
        return bool(_release(root, writer))

    monkeypatch.setattr(spool_bound, "release_writer", release)
    with spool_directory.opened_root(str(tmp_path / "spool"), create=True) as root:
        dead = spool_directory.create_writer(root)
        spool_directory.unlock(dead.lock)
        dead.let_go()
        spool_bound.Bound(str(tmp_path / "spool"), 1_000_000)._remove_directory(root, dead.name)
        assert list(spool_directory.writer_names(root)) == []
    assert held == [True]
