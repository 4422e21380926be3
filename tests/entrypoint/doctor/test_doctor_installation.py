"""Versions, instrumentations, exporters, the spool: what is installed and what there is room for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tracebaton.doctor.finding import Status

if TYPE_CHECKING:
    from conftest import Examine


def install(path: Path, name: str, version: str, *lines: str, entry_points: str = "") -> None:
    """Metadata of a distribution, as an installed package has them; it hides one of the same name behind it."""
    info = path / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]))
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that stands before the installed packages."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    return path


class TestVersions:
    def test_here_they_fit(self, diagnose: Examine) -> None:
        findings = diagnose(check="versions")
        assert {one.status for one in findings} == {Status.OK}
        assert "opentelemetry-sdk" in findings[0].message

    def test_what_httpx_costs_without_sniffio(self, diagnose: Examine) -> None:
        assert any(one.message.startswith("sniffio 1.") for one in diagnose(check="versions"))

    def test_a_requirement_that_is_not_met(self, diagnose: Examine, site: Path) -> None:
        install(site, "opentelemetry-something", "0.50b0", "Requires-Dist: opentelemetry-api==1.20.0")
        (finding,) = [one for one in diagnose(check="versions") if one.status is Status.ERROR]
        assert "opentelemetry-something 0.50b0 needs opentelemetry-api==1.20.0, but 1." in finding.message
        assert finding.remedy.startswith("install OpenTelemetry's packages of one release, in one step")

    def test_a_requirement_that_is_not_there(self, diagnose: Examine, site: Path) -> None:
        install(site, "opentelemetry-something", "0.50b0", "Requires-Dist: not-there-at-all>=2")
        (finding,) = [one for one in diagnose(check="versions") if one.status is Status.ERROR]
        assert finding.message == "opentelemetry-something 0.50b0 needs not-there-at-all, which is not installed"
        assert finding.remedy == "pip install 'not-there-at-all>=2'"

    def test_extras_are_not_required(self, diagnose: Examine, site: Path) -> None:
        install(site, "opentelemetry-something", "0.50b0", "Requires-Dist: not-there ; extra == 'instruments'")
        assert {one.status for one in diagnose(check="versions")} == {Status.OK}

    def test_one_package_in_two_versions(self, diagnose: Examine, site: Path) -> None:
        install(site, "opentelemetry-api", "1.20.0")
        messages = [one.message for one in diagnose(check="versions") if one.status is Status.ERROR]
        assert any(message.startswith("opentelemetry-api is installed 2 times, as 1.20.0 and ") for message in messages)


class TestInstrumentations:
    def test_which_are_loaded(self, diagnose: Examine) -> None:
        messages = [one.message for one in diagnose(check="instrumentations")]
        (loaded,) = [message for message in messages if message.startswith("loaded: ")]
        for name in ("fastapi", "httpx", "redis"):
            assert name in loaded

    def test_a_library_that_is_not_there(self, diagnose: Examine, site: Path) -> None:
        install(
            site,
            "opentelemetry-instrumentation-nolib",
            "0.66b2",
            "Requires-Dist: nolib~=1.0 ; extra == 'instruments'",
            entry_points="[opentelemetry_instrumentor]\nnolib = json:JSONDecoder\n",
        )
        messages = [one.message for one in diagnose(check="instrumentations")]
        (absent,) = [message for message in messages if message.startswith("not loaded, as the library is not")]
        assert "nolib" in absent

    @pytest.mark.parametrize(
        ("body", "said", "remedy"),
        [
            ("import gauges.inner", "it needs gauges, which is not installed", "pip install gauges"),
            ("import json.gauges", "it needs json.gauges, which the installed json does not have", ""),
            ("print('hello'); 1 / 0", "it fails: ZeroDivisionError: division by zero", ""),
        ],
    )
    def test_one_that_cannot_be_imported(
        self, diagnose: Examine, site: Path, capsys: pytest.CaptureFixture[str], body: str, said: str, remedy: str
    ) -> None:
        name = f"lacks_{len(body)}"
        (site / f"{name}.py").write_text(f"{body}\n")
        install(site, "belt", "1.0", entry_points=f"[opentelemetry_instrumentor]\nbelt = {name}:Instrumentor\n")
        (finding,) = [one for one in diagnose(check="instrumentations") if one.status is Status.WARNING]
        assert finding.message == f"belt is not loaded: {said}"
        assert finding.remedy.startswith(remedy)
        assert capsys.readouterr().out == ""

    def test_a_library_out_of_range(self, diagnose: Examine, site: Path) -> None:
        install(
            site,
            "opentelemetry-instrumentation-oldlib",
            "0.66b2",
            "Requires-Dist: oldlib>=2,<3 ; extra == 'instruments'",
            entry_points="[opentelemetry_instrumentor]\noldlib = json:JSONDecoder\n",
        )
        install(site, "oldlib", "1.5")
        (finding,) = [one for one in diagnose(check="instrumentations") if one.status is Status.WARNING]
        assert finding.message == "oldlib is not loaded: it is for oldlib<3,>=2, and oldlib 1.5 is installed"

    @pytest.mark.parametrize(
        ("version", "said"), [("0.142.0", "makes spans of its own"), ("0.115.6", "no SERVER spans")]
    )
    def test_fastapi_disabled(
        self, diagnose: Examine, monkeypatch: pytest.MonkeyPatch, version: str, said: str
    ) -> None:
        from tracebaton.doctor import instrumentations

        monkeypatch.setattr(instrumentations, "installed", lambda name: version if name == "fastapi" else None)
        findings = diagnose({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi"}, check="instrumentations")
        (finding,) = [one for one in findings if one.status is Status.WARNING]
        assert said in finding.message

    def test_all_disabled(self, diagnose: Examine) -> None:
        findings = diagnose({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, check="instrumentations")
        assert findings[0].message == "none is loaded: there will be no spans"

    def test_off_is_off(self, diagnose: Examine) -> None:
        (finding,) = diagnose({"OTEL_SDK_DISABLED": "true"}, check="instrumentations")
        assert finding.status is Status.OK


class TestExporters:
    @pytest.mark.parametrize(
        ("value", "status", "said"),
        [
            ("none", Status.WARNING, "spans are not exported: OTEL_TRACES_EXPORTER=none"),
            ("console", Status.WARNING, "spans are printed on standard output"),
            ("otlp,otlp_proto_http", Status.WARNING, "sends each span several times over OTLP"),
            ("otlp", Status.OK, "spans go to http://localhost:4317 over grpc"),
        ],
    )
    def test_each_is_explained(self, diagnose: Examine, value: str, status: Status, said: str) -> None:
        findings = diagnose({"OTEL_TRACES_EXPORTER": value}, check="settings")
        assert [one.status for one in findings if said in one.message] == [status]

    def test_an_exit_longer_than_dockers_patience(self, diagnose: Examine) -> None:
        findings = diagnose({"OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": "30s"}, check="settings")
        assert "`docker stop` kills after 10 s" in findings[-1].message


class TestSpool:
    def test_it_can_be_written_and_nothing_is_left_there(self, diagnose: Examine, tmp_path: Path) -> None:
        for directory in (tmp_path / "spool", tmp_path / "spool" / "to" / "be" / "made"):
            (finding,) = diagnose({"OTEL_TRACEBATON_SPOOL_DIR": str(directory)}, check="spool")
            assert finding.status is Status.OK
            assert "0.0 MB of at most 64 MB wait there" in finding.message
        assert not (tmp_path / "spool").exists()

    def test_what_waits_there_is_counted(self, diagnose: Examine, tmp_path: Path) -> None:
        """Of the spool's own, and not through links."""
        writer = tmp_path / "1-0123456789ab"
        writer.mkdir()
        (writer / f"{1:020d}-1.otlp").write_bytes(b"x" * 2_000_000)
        (tmp_path / "elsewhere").write_bytes(b"x" * 5_000_000)
        (tmp_path / "2-0123456789ab").symlink_to(tmp_path)
        (writer / f"{2:020d}-1.otlp").symlink_to(tmp_path / "elsewhere")
        findings = diagnose({"OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path)}, check="spool")
        assert "2.0 MB of at most 64 MB" in findings[0].message
        assert "holds 2 directories or files of other users" in findings[1].message

    def test_corrupt_files_are_told_of(self, diagnose: Examine, tmp_path: Path) -> None:
        (tmp_path / f"corrupt-{os.geteuid()}").mkdir()
        (tmp_path / f"corrupt-{os.geteuid()}" / "file").write_bytes(b"x")
        findings = diagnose({"OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path)}, check="spool")
        assert "holds 1 corrupt files" in findings[1].message

    def test_a_file_in_its_place(self, diagnose: Examine, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (finding,) = diagnose({"OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path / "file")}, check="spool")
        assert finding.status is Status.ERROR
        assert "is not a directory; spans would wait in memory" in finding.message

    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="a directory that root may not write either")
    def test_one_that_cannot_be_written(self, diagnose: Examine) -> None:
        (finding,) = diagnose({"OTEL_TRACEBATON_SPOOL_DIR": "/proc/spool"}, check="spool")
        assert finding.status is Status.ERROR
        assert f"cannot be used by user {os.geteuid()}" in finding.message
        assert finding.remedy.startswith("mount a volume there")

    def test_too_little_room(self, diagnose: Examine, tmp_path: Path) -> None:
        given = {"OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path), "OTEL_TRACEBATON_SPOOL_MAX_MB": "1000000"}
        findings = diagnose(given, check="spool")
        free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
        assert (findings[-1].status is Status.WARNING) == (free < 1e12)
