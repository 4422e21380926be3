"""What of a process is shown, and what is not."""

from __future__ import annotations

import pytest

from tracebaton_configurator.live.describe import command_of
from tracebaton_configurator.settings import Endpoint


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["/usr/bin/uvicorn", "main:app", "--port", "80"], "uvicorn main:app"),
        (["uvicorn", "--host", "0.0.0.0", "shop.api:make()"], "uvicorn shop.api:make()"),
        (["uvicorn", "--header", "Token:secret", "main:app"], "uvicorn main:app"),
        (["uvicorn", "--reload", "main:app"], "uvicorn"),
        (["gunicorn", "-c", "python:settings", "main:app"], "gunicorn main:app"),
        (["/app/.venv/lib/uvicorn/__main__.py", "main:app"], "__main__.py main:app"),
        (["fastapi", "run", "main.py"], "fastapi main.py"),
        (["worker.py", "sk-secret"], "worker.py"),
        (["worker.py", "user:secret"], "worker.py"),
        (["celery", "-A", "proj", "worker", "-b", "redis://:secret@host"], "celery"),
        (["-c"], "-c"),
        ([""], ""),
        ([], "python"),
    ],
)
def test_the_command_is_the_program_and_the_application_that_a_server_runs(argv: list[str], shown: str) -> None:
    assert command_of(argv) == shown


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@collector:4318/v1/traces",
        "http://collector:4318/v1/traces?api-key=secret",
        "http://collector:4318/v1/traces#secret",
    ],
)
def test_the_destination_has_no_keys_in_it(url: str) -> None:
    assert str(Endpoint(url, "http/protobuf")) == "http://collector:4318/v1/traces"
