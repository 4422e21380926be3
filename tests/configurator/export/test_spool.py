"""Batches on disk: of several processes in one directory, killed, forked, full, torn, among other people's files."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import wait_for

from tracebaton_configurator.export import spool as module
from tracebaton_configurator.export.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead writers are looked for whenever `adopt` is called."""
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)


def contents(spool: Spool) -> list[bytes]:
    """Everything the spool would deliver, in order; removed, as if it had been."""
    found = []
    spool.adopt()
    while (entry := spool.oldest()) is not None:
        payload = spool.read(entry)
        if payload is not None:
            found.append(payload)
            spool.remove(entry)
    return found


def files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.otlp"), key=lambda path: path.name)


class TestOneWriter:
    def test_first_in_first_out(self, tmp_path: Path) -> None:
        spool = Spool(str(tmp_path / "a" / "b"), 1_000_000)
        for number in range(20):
            assert spool.put(b"%d" % number, number) == 0
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
        match = re.fullmatch(r"(\d{20})-1-7-([0-9a-f]{8})\.otlp", file.name)
        assert match
        assert int(match[2], 16) == zlib.crc32(b"abc")
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
        before = len(list(Path("/proc/self/fd").iterdir()))
        for number in range(10):
            spool.put(b"%d" % number, 1)
            assert spool.oldest() is not None
            shutil.rmtree(root)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
        spool.put(b"last", 1)
        assert contents(spool) == [b"last"]

    def test_draining_many_files_reads_the_directory_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_LOOK_EVERY", 1e9)
        spool = Spool(str(tmp_path), 100_000_000)
        for _ in range(5000):
            spool.put(b"x", 1)
        listed = []
        entries = module._entries
        monkeypatch.setattr(module, "_entries", lambda directory: listed.append(directory) or entries(directory))
        assert len(contents(spool)) == 5000
        assert len(listed) <= 3


class TestBounds:
    def test_the_oldest_of_all_writers_make_room_and_are_counted(self, tmp_path: Path) -> None:
        first, second = (Spool(str(tmp_path), 1000) for _ in range(2))
        for _ in range(4):
            assert first.put(b"a" * 100, 3) == 0
        lost = sum(second.put(b"b" * 100, 5) for _ in range(20))
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 1000
        assert b"a" * 100 not in [path.read_bytes() for path in files(tmp_path)]
        left = sum(int(path.name.split("-")[2]) for path in files(tmp_path))
        assert lost + left == 4 * 3 + 20 * 5

    def test_others_are_seen_after_a_while(self, tmp_path: Path) -> None:
        first, second = (Spool(str(tmp_path), 1000) for _ in range(2))
        first.put(b"a", 1)
        for _ in range(9):
            second.put(b"b" * 100, 1)
        first.adopt()
        assert first.put(b"a" * 500, 1) >= 4
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 1000

    def test_a_batch_that_is_larger_than_all_of_it(self, tmp_path: Path) -> None:
        spool = Spool(str(tmp_path), 1000)
        spool.put(b"a", 1)
        with pytest.raises(OSError, match="larger than the whole spool"):
            spool.put(b"b" * 1001, 1)
        assert contents(spool) == [b"a"]

    def test_a_full_disk(self, tmp_path: Path) -> None:
        """RLIMIT_FSIZE makes write(2) fail, after a part of it."""
        code = f"""
import resource, signal
from tracebaton_configurator.export.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
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
        assert [path.read_bytes()[:1] for path in files(tmp_path)] == [b"a", b"c"]
        assert list(tmp_path.glob("*/*.part")) == []

    @pytest.mark.parametrize("where", ["/proc/spool", "/dev/null/spool"])
    def test_a_place_where_nothing_can_be_written(self, where: str) -> None:
        spool = Spool(where, 1000)
        with pytest.raises(OSError, match="."):
            spool.put(b"a", 1)
        with suppress(OSError):
            assert not spool.adopt()
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

    def test_torn_ones_are_known_counted_and_removed(self, tmp_path: Path, left: Path) -> None:
        name = f"{{:020d}}-1-5-{zlib.crc32(b'content'):08x}.otlp"
        for number, content in enumerate([b"conten", b"", b"contenT", b"content and more"]):
            (left / name.format(number)).write_bytes(content)
        (left / (name.format(9) + ".part")).write_bytes(b"con")
        spool = Spool(str(tmp_path), 1_000_000)
        assert contents(spool) == [b"good"]
        assert spool.torn == 5 * 5
        spool.close()
        assert list(tmp_path.iterdir()) == []

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
        assert contents(Spool(str(tmp_path), 1_000_000)) == [b"good"]

    def test_one_that_cannot_be_read_is_said_and_the_others_are_delivered(
        self, tmp_path: Path, left: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a bad disk; what cannot be read now is kept."""
        bad = left / f"{1:020d}-1-1-00000000.otlp"
        bad.write_bytes(b"")
        read = Path.read_bytes

        def read_or_fail(path: Path) -> bytes:
            if path.name == bad.name:
                raise OSError(5, "Input/output error")
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", read_or_fail)
        spool = Spool(str(tmp_path), 1_000_000)
        spool.adopt()
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
        spool.adopt()
        entry = spool.oldest()
        assert entry is not None
        entry.path.unlink()
        assert spool.read(entry) is None
        assert spool.oldest() is None
        assert spool.torn == 0


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
            spool.adopt()
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
        assert not Spool(str(tmp_path), 100_000_000).adopt()
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
spool.adopt()
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
spool.adopt()
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
from tracebaton_configurator.export import spool as module
module._LOOK_EVERY = 0.0
spools, stop = [], threading.Event()
def work():
    while not stop.is_set():
        one = module.Spool(sys.argv[1], 1_000_000)
        spools.append(one)
        one.put(b"x", 1)
        one.adopt()
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
