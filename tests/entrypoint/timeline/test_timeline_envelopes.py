"""What collectors and log stores put around an application's line is opened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

_STAMP = "2026-11-22T20:17:09.013Z"
_SECONDS = 1795378629.013
TRACE = "391a6620fcc50438d304c4fe040d323c"
_APP = {"level": "ERROR", "message": "it failed", "trace_id": TRACE, "span_id": "00f067aa0ba902b7"}
_LINE = json.dumps(_APP)
_TEXT = f"ERROR it failed trace_id={TRACE}"
_OTLP = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "agent-x"}}]},
            "scopeLogs": [
                {
                    "scope": {"name": "agent"},
                    "logRecords": [
                        {"timeUnixNano": "1795378628000000000", "body": {"stringValue": "of another"}},
                        {
                            "timeUnixNano": "1795378629013000000",
                            "severityText": "ERROR",
                            "body": {"stringValue": "it failed"},
                            "attributes": [{"key": "n", "value": {"intValue": "3"}}],
                            "traceId": TRACE,
                            "spanId": "00f067aa0ba902b7",
                        },
                    ],
                }
            ],
        }
    ]
}
_LABELS = {"app": "agent-x", "pod": "p-1"}
_KUBERNETES = {"pod_name": "p-1", "container_name": "agent-x"}
_MICROS = "1795378629013000"


def _journal(message: object) -> str:
    fields = {"__REALTIME_TIMESTAMP": _MICROS, "SYSLOG_IDENTIFIER": "agent-x", "PRIORITY": "6", "MESSAGE": message}
    return json.dumps(fields)


_ENVELOPES = {
    "fluent-bit-log": json.dumps({"@timestamp": _STAMP, "log": _LINE + "\n", "kubernetes": _KUBERNETES}),
    "fluent-bit-date": json.dumps({"date": _SECONDS, "message": _LINE, "container_name": "/agent-x"}),
    "fluent-bit-text": json.dumps({"date": _SECONDS, "log": _TEXT, "kubernetes": _KUBERNETES}),
    "logcli-jsonl": json.dumps({"labels": _LABELS, "line": _LINE, "timestamp": _STAMP}),
    "logcli-jsonl-text": json.dumps({"labels": _LABELS, "line": _TEXT, "timestamp": _STAMP}),
    "logcli-text": f'{_STAMP} {{app="agent-x", pod="p-1"}} {_LINE}',
    "logcli-text-of-text": f'{_STAMP} {{app="agent-x", pod="p-1"}} {_TEXT}',
    "journal": _journal(_LINE),
    "journal-text": _journal(_TEXT),
    "journal-bytes": _journal(list(_LINE.encode())),
    "otlp": json.dumps(_OTLP, separators=(",", ":")),
    "cri-pieces": (
        f"{_STAMP} stdout P {_LINE[:40]}\n{_STAMP} stderr F between\n{_STAMP} stdout P {_LINE[40:70]}\n"
        f"{_STAMP} stdout F {_LINE[70:]}"
    ),
    "cri-cut-off": f"{_STAMP} stdout F first\n{_STAMP} stdout P {_LINE}",
}


@pytest.mark.parametrize("kind", _ENVELOPES)
def test_is_opened(kind: str, tmp_path: Path, run_timeline: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    (tmp_path / "a.log").write_text(_ENVELOPES[kind] + "\n")
    done = run_timeline(TRACE, "a.log")
    assert done.returncode == 0, done.stderr
    assert "  1 line, 1 service" in done.stdout, done.stdout
    assert "20:17:09.013" in done.stdout, done.stdout
    assert ("agent-x" in done.stdout) == (not kind.startswith("cri")), done.stdout
    assert "it failed" in done.stdout, done.stdout
    assert "{" not in done.stdout, done.stdout


_IDS = {
    "traceparent": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    "datadog-64": {"dd.trace_id": str(int(TRACE[16:], 16)), "dd.span_id": str(0x00F067AA0BA902B7)},
    "datadog-nested-number": {"dd": {"trace_id": int(TRACE[16:], 16), "span_id": 0x00F067AA0BA902B7}},
    "datadog-128": {"dd.trace_id": TRACE, "dd.span_id": str(0x00F067AA0BA902B7)},
}


@pytest.mark.parametrize("kind", _IDS)
def test_ids_in_other_forms(
    kind: str, tmp_path: Path, run_timeline: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    line = {"timestamp": _STAMP, "message": "it failed", **_IDS[kind]}
    child = {
        "timestamp": _STAMP,
        "message": "below",
        "trace_id": TRACE,
        "span_id": "1",
        "parent_id": "00f067aa0ba902b7",
    }
    (tmp_path / "a.log").write_text(json.dumps(line) + "\n" + json.dumps(child) + "\n")
    done = run_timeline(TRACE, "a.log")
    assert "2 lines" in done.stdout, done.stdout + done.stderr


def test_a_message_that_holds_an_object_stays(
    tmp_path: Path, run_timeline: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    line = {"timestamp": _STAMP, "message": json.dumps({"a": 1}), "trace_id": TRACE, "log": "x"}
    (tmp_path / "a.log").write_text(json.dumps(line) + "\n")
    assert '{"a": 1}' in run_timeline(TRACE, "a.log").stdout


def test_labels_within_labels_end_no_command(
    tmp_path: Path, run_timeline: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "a.log").write_text(f"{_STAMP} " + '{a="b"} ' * 50_000 + _LINE + "\n")
    assert "1 line, 1 service" in run_timeline(TRACE, "a.log").stdout
