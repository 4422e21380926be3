"""How the two runs of a suite of upstream's are compared; `make upstream` runs the suites."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from run_upstream import compare, outcomes, sampler
from upstream_differences import NAMED, Difference
from upstream_suites import AGES, SUITES

SUITE = """
import unittest

import pytest


class TestIt(unittest.TestCase):
    def test_passes(self):
        with self.subTest("one"):
            pass

    def test_fails(self):
        assert 1 == 2, "a reason"

    def test_fails_in_part(self):
        for number in range(3):
            with self.subTest(number=number):
                assert number != 1

    @unittest.skip("not here")
    def test_is_skipped(self):
        pass


@pytest.fixture
def late():
    yield
    raise RuntimeError("too late")


def test_is_not_taken_down(late):
    pass
"""


def test_a_report_is_read(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "tests" / "test_it.py").write_text(SUITE)
    shutil.copy(Path(__file__).with_name("upstream_conftest.py"), tmp_path / "conftest.py")
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "tests"]
    assert subprocess.run(command, check=False, cwd=tmp_path, capture_output=True).returncode == 1
    assert sampler(report) == "builtins", "no provider has been set up"
    found = {test: text.partition("\n")[0] for test, text in outcomes(report).items()}
    assert found == {
        "test_it.TestIt::test_passes": "passed",
        "test_it.TestIt::test_fails": "AssertionError: a reason",
        "test_it.TestIt::test_fails_in_part": "assert 1 != 1",
        "test_it.TestIt::test_is_skipped": "skipped",
        "test_it::test_is_not_taken_down": 'failed on teardown with "RuntimeError: too late"',
    }


@pytest.mark.parametrize("here", ["an error", "skipped", None])
def test_what_passes_there_has_to_pass_here(here: str | None) -> None:
    ours = {"a": "passed"} | ({} if here is None else {"b": here})
    found = compare(ours, {"a": "passed", "b": "passed"}, [])
    assert found.ours_alone == {"b": here or "not run"}
    assert found.failed


def test_what_fails_there_may_fail_here() -> None:
    found = compare({"a": "x", "b": "passed", "c": "skipped"}, {"a": "y", "b": "z", "c": "z"}, [])
    assert (found.both, found.passed, found.failed) == (["a"], ["b"], False)


@pytest.mark.parametrize(
    ("here", "there", "failed"),
    [
        ("an error", "passed", False),
        ("passed", "passed", True),
        ("an error", "an error", True),
        ("not collected any more", "", True),
    ],
)
def test_what_is_named_has_to_be_so(here: str, there: str, *, failed: bool) -> None:
    named = [Difference("httpx", "a", "a reason")]
    found = compare({"a": here} if there else {}, {"a": there} if there else {}, named)
    assert (found.failed, found.gone) == (failed, ["a"] if failed else [])
    assert found.named == ({} if failed else {"a": "a reason"})
    assert found.ours_alone == {}


def test_each_difference_is_one_of_a_suite_that_runs() -> None:
    assert {one.suite for one in NAMED} <= {suite.name for suite in SUITES}
    assert all(any(one.age in age.name for age in AGES) for one in NAMED)
    assert len({(one.suite, one.test) for one in NAMED}) == len(NAMED)
