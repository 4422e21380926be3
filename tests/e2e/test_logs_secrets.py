"""An unmodified service that logs secrets as extras, under a format that shows none: nor does a JSON line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from harness import TRACED, UNTRACED
from log_lines import objects, printed, start

if TYPE_CHECKING:
    from harness import System

SECRET = "hunter2"  # noqa: S105
HEADERS = {"authorization": f"Bearer {SECRET}", "cookie": f"session={SECRET}", "x-api-key": SECRET, "x-room": "7"}


def of_json(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("{")]


def run(system: System, launcher: tuple[str, ...], **environ: str) -> list[str]:
    url = start(system, "shop", "log_secrets_app", launcher, **environ)
    body = {"user": "u", "password": SECRET, "apiKey": SECRET}
    assert httpx.post(f"{url}/login", headers=HEADERS, json=body).status_code == 200
    system.stop_agents()
    return printed(system, "shop")


def test_handlers_streams_and_loguru_write_what_they_wrote(system: System) -> None:
    lines = run(system, TRACED)
    assert SECRET not in "\n".join(lines)
    assert [line for line in lines if line.startswith(("handler", "stream"))] == [
        "handler refused ***",
        "stream refused ***",
    ]
    (line,) = [line for line in objects(of_json(lines)) if line["message"].startswith("LOGURU")]
    assert line["message"] == "LOGURU refused ***"
    assert len(line["trace_id"]) == 32


def test_no_line_has_a_secret_in_an_extra(system: System) -> None:
    lines = run(system, TRACED)
    assert SECRET not in "\n".join(lines)
    shop = {line["message"]: line for line in objects(of_json(lines)) if line.get("logger") == "shop"}
    headers = shop["mapping"]["headers"]
    assert {name: headers[name] for name in HEADERS} == {**dict.fromkeys(HEADERS, "[masked]"), "x-room": "7"}
    assert (shop["mapping"]["user"], shop["mapping"]["password"]) == ("u", "[masked]")
    assert ["x-api-key", "[masked]"] in shop["pairs"]["headers"]
    assert shop["object"]["prompt_tokens"] == 7
    assert shop["dict"]["apiKey"] == "[masked]"
    (careful,) = [line for line in objects(of_json(lines)) if line.get("logger") == "careful"]
    assert careful["message"].startswith("ERROR refused ***\nTraceback")
    assert len(careful["trace_id"]) == 32


def test_as_text_it_shows_no_more_than_untraced(system: System) -> None:
    untraced = [line for line in run(system, UNTRACED) if SECRET in line]
    assert len(untraced) == 1  # the dict, which such a format shows as it is


def test_all_is_all(system: System) -> None:
    lines = run(system, TRACED, OTEL_TRACEBATON_LOG_EXTRAS="all")
    (mapping,) = [line for line in objects(of_json(lines)) if line.get("message") == "mapping"]
    assert (mapping["password"], mapping["headers"]["x-api-key"]) == (SECRET, SECRET)
    (careful,) = [line for line in objects(of_json(lines)) if line.get("logger") == "careful"]
    assert SECRET not in str(careful)
