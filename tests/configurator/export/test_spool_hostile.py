"""What somebody has left in the spool, or leaves there: thousands of directories, links, other users' files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from open_files import open_below
from peers import payload
from processes import wait_for

from tracebaton_configurator.export import spool as module
from tracebaton_configurator.export.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGER = 12345
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")


@pytest.fixture(autouse=True)
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)


def contents(spool: Spool, found: list[bytes] | None = None) -> list[bytes]:
    """Everything that would be delivered; removed, as if it had been."""
    found = [] if found is None else found
    spool.recover()
    while (entry := spool.oldest()) is not None:
        content = spool.read(entry)
        if content is not None:
            found.append(content)
            spool.remove(entry)
    return found


def dead_writers(root: Path, count: int) -> None:
    """As many directories, of processes that are gone, with a batch in each; as 0.1.0 has left them."""
    for number in range(count):
        directory = root / f"{number + 1}-{number:012x}"
        directory.mkdir(parents=True)
        (directory / "lock").touch()
        content = payload(1, number + 1)
        (directory / f"{number:020d}-1-1-{zlib.crc32(content):08x}.otlp").write_bytes(content)


class TestManyDeadWriters:
    """H2: a descriptor was kept open for each."""

    def test_few_descriptors_and_everybody_has_a_turn(self, tmp_path: Path) -> None:
        dead_writers(tmp_path, 1100)
        spool = Spool(str(tmp_path), 64_000_000)
        spool.put(b"mine", 1)
        most = 0
        for _ in range(50):  # the receiver is away
            spool.recover()
            assert spool.oldest() is not None
            most = max(most, open_below(tmp_path))
        found = contents(spool)
        assert 0 < most <= 6
        assert len(set(found)) == len(found) == 1101
        spool.close()
        assert list(tmp_path.iterdir()) == []
        assert open_below(tmp_path) == 0

    @pytest.mark.parametrize("by", ["0.1.0", "this version"])
    def test_one_that_cannot_be_read_does_not_keep_others_waiting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
    ) -> None:
        if by == "0.1.0":
            dead_writers(tmp_path, 20)
        for number in range(20 if by != "0.1.0" else 0):
            dead = Spool(str(tmp_path), 64_000_000)
            dead.put(payload(1, number + 1), 1)
            dead.close()
        paths = sorted(tmp_path.rglob("*.otlp"), key=lambda path: path.name)
        bad = {path.stat().st_ino for path in paths[::2]}
        read = os.pread

        def read_or_fail(descriptor: int, size: int, at: int) -> bytes:
            if os.fstat(descriptor).st_ino in bad:
                raise OSError(5, "Input/output error")
            return read(descriptor, size, at)

        monkeypatch.setattr(os, "pread", read_or_fail)
        spool = Spool(str(tmp_path), 64_000_000)
        found: list[bytes] = []
        for _ in range(40):
            with suppress(OSError):  # it is said, and the next round goes on
                contents(spool, found)
        assert sorted(found) == sorted(payload(1, number) for number in range(2, 21, 2))

    def test_with_hardly_any_descriptors_left(self, tmp_path: Path) -> None:
        dead_writers(tmp_path, 300)
        code = f"""
import os, resource
from tracebaton_configurator.export import spool as module
module._LOOK_EVERY = 0.0
resource.setrlimit(resource.RLIMIT_NOFILE, (13, 13))
spool = module.Spool({str(tmp_path)!r}, 64_000_000)
spool.recover()
found = 0
while (entry := spool.oldest()) is not None:
    found += spool.read(entry) is not None
    spool.remove(entry)
print(found)
"""
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
        assert out.stdout == "300\n", out.stderr


class TestLinks:
    """S5: a link was followed, and created through."""

    @pytest.mark.parametrize("there", [False, True])
    def test_a_lock_that_is_a_link(self, tmp_path: Path, there: bool) -> None:  # noqa: FBT001
        target, root = tmp_path / "target", tmp_path / "spool"
        dead_writers(root, 1)
        if there:
            target.write_text("precious")
        (writer,) = root.iterdir()
        (writer / "lock").unlink()
        (writer / "lock").symlink_to(target)
        spool = Spool(str(root), 1_000_000)
        spool.put(b"mine", 1)
        assert contents(spool) == [b"mine"]
        spool.close()
        assert target.exists() == there
        assert (writer / "lock").is_symlink()

    @pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
    def test_a_lock_that_is_no_file(self, tmp_path: Path, kind: str) -> None:
        dead_writers(tmp_path, 1)
        (writer,) = tmp_path.iterdir()
        (writer / "lock").unlink()
        if kind == "fifo":
            os.mkfifo(writer / "lock")
        elif kind == "directory":
            (writer / "lock").mkdir()
        elif os.geteuid() == 0:
            os.mknod(writer / "lock", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        else:
            pytest.skip("only root makes devices")
        spool = Spool(str(tmp_path), 1_000_000)
        spool.put(b"mine", 1)
        assert contents(spool) == [b"mine"]
        assert len(spool.remarks) == 1

    def test_a_writers_directory_that_is_a_link(self, tmp_path: Path) -> None:
        dead_writers(tmp_path / "elsewhere", 1)
        root = tmp_path / "spool"
        root.mkdir()
        (root / "1-000000000000").symlink_to(next((tmp_path / "elsewhere").iterdir()))
        assert contents(Spool(str(root), 1_000_000)) == []

    def test_the_spool_itself_may_be_a_link_of_this_user(self, tmp_path: Path) -> None:
        (tmp_path / "volume").mkdir()
        (tmp_path / "spool").symlink_to(tmp_path / "volume")
        spool = Spool(str(tmp_path / "spool"), 1_000_000)
        spool.put(b"a", 1)
        assert contents(spool) == [b"a"]

    @ROOT
    def test_but_not_one_of_another_user(self, tmp_path: Path) -> None:
        (tmp_path / "volume").mkdir()
        (tmp_path / "spool").symlink_to(tmp_path / "volume")
        os.lchown(tmp_path / "spool", STRANGER, STRANGER)
        with pytest.raises(PermissionError, match=f"is a symbolic link that user {STRANGER} made"):
            Spool(str(tmp_path / "spool"), 1_000_000).put(b"a", 1)
        assert list((tmp_path / "volume").iterdir()) == []


@ROOT
class TestOtherUsers:
    def test_their_directories_and_files_are_left_alone_and_said_once(self, tmp_path: Path) -> None:
        dead_writers(tmp_path, 2)
        theirs, shared = sorted(tmp_path.iterdir())
        for path in (theirs, *theirs.iterdir(), *shared.glob("*.otlp")):
            os.chown(path, STRANGER, STRANGER)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.otlp")}
        spool = Spool(str(tmp_path), 1_000_000)
        for _ in range(3):
            spool.put(b"mine", 1)
            assert contents(spool) == [b"mine"]
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.otlp")} == before
        (remark,) = spool.remarks
        assert remark.startswith(f"{tmp_path} holds what belongs to other users")

    @pytest.mark.parametrize(("mode", "owner", "used"), [
        (0o777, STRANGER, False), (0o1777, STRANGER, True), (0o755, STRANGER, True), (0o777, 0, True),
    ])  # fmt: skip
    def test_a_directory_in_which_anybody_may_exchange_things(
        self,
        tmp_path: Path,
        mode: int,
        owner: int,
        used: bool,  # noqa: FBT001
    ) -> None:
        root = tmp_path / "spool"
        root.mkdir()
        os.chown(root, owner, owner)
        root.chmod(mode)
        spool = Spool(str(root), 1_000_000)
        if used:
            spool.put(b"a", 1)
            assert contents(spool) == [b"a"]
            return
        for call in (lambda: spool.put(b"a", 1), spool.recover):
            with pytest.raises(PermissionError, match="everybody may write there without the sticky bit"):
                call()
        assert list(root.iterdir()) == []


PUTS = """
import sys
from tracebaton_configurator.export.spool import Spool
spool = Spool(sys.argv[1], 1_000_000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(400):
    spool.put(b"x" * 15_000, 1)
    if not number % 20:
        print(number, flush=True)
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.communicate(timeout=30)


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_eight_processes_keep_one_bound(tmp_path: Path, processes: list[subprocess.Popen[str]]) -> None:
    """S7: 8 MB for 1 MB."""
    processes += [start([sys.executable, "-c", PUTS, str(tmp_path)]) for _ in range(8)]
    for process in processes:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
    most = 0
    for process in processes:
        assert process.stdout
        while (line := process.stdout.readline()) not in {"done\n", ""}:
            used = 0
            for directory, directories, files in os.walk(tmp_path):  # which passes over what goes meanwhile
                for name in (*directories, *files):
                    with suppress(FileNotFoundError):
                        used += Path(directory, name).lstat().st_blocks * 512
            most = max(most, used)
        assert line == "done\n"
    # A directory that is walked while it changes may be counted with what has gone and what has come.
    assert most <= 1_000_000 + 8 * 2 * 20_480
    assert len(list(tmp_path.rglob("*.otlp"))) <= 256


ALONE = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c"]


@pytest.mark.skipif(
    subprocess.run([*ALONE, ""], capture_output=True, check=False).returncode != 0,
    reason="no PID namespace can be made",
)
def test_two_containers_that_are_both_pid_1(tmp_path: Path, processes: list[subprocess.Popen[str]]) -> None:
    code = """
import os, sys
from tracebaton_configurator.export import spool as module
module._LOOK_EVERY = 0.0
assert os.getpid() == 1
spool = module.Spool(sys.argv[1], 10_000_000)
for number in range(50):
    spool.put(b"%s:%d" % (sys.argv[2].encode(), number), 1)
print("written", flush=True)
sys.stdin.readline()
spool.recover()
while (entry := spool.oldest()) is not None:
    print(spool.read(entry).decode(), flush=True)
    spool.remove(entry)
print("end", flush=True)
sys.stdin.readline()
"""
    processes += [start([*ALONE, code, str(tmp_path), name]) for name in "ab"]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"1"}
    assert contents(Spool(str(tmp_path), 10_000_000)) == []
    for process, name in zip(processes, "ab", strict=True):
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        lines = []
        while (line := process.stdout.readline()) not in {"end\n", ""}:
            lines.append(line.strip())
        assert lines == [f"{name}:{number}" for number in range(50)]
    assert wait_for(lambda: not list(tmp_path.rglob("*.otlp")), 5)
