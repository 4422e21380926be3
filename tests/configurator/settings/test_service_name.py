"""A service is never called `unknown_service`."""

import pytest

from tracebaton_configurator.settings import PARENT_SERVICE, read_settings, word_to_programs
from tracebaton_configurator.settings.service_name import derive_service_name


@pytest.mark.parametrize(
    ("command", "directory", "name"),
    [
        ("python /bin/uvicorn main:app", "/srv/agent-a", "agent-a"),
        ("python /bin/uvicorn shop.api:app --port 8000", "/srv/x", "shop"),
        ("python /bin/uvicorn main:app", "/app", "main"),
        ("python /bin/uvicorn main:app", "/agents/backend/src", "backend"),
        ("python -m uvicorn main:app --host 0.0.0.0", "/srv/agent-b", "agent-b"),
        ("python /bin/uvicorn shop:make_app() --factory", "/", "shop"),
        ("python /bin/gunicorn -c python:settings -k uvicorn.workers.UvicornWorker shop.api:app", "/", "shop"),
        ("python /bin/gunicorn -b 0.0.0.0:8000 --worker-class a:b main:app", "/srv/agent-c", "agent-c"),
        ("python /bin/fastapi run app/main.py", "/srv/agent-d", "agent-d"),
        ("python /bin/fastapi run", "/srv/agent-d", "agent-d"),
        ("python worker.py", "/srv/x", "worker"),
        ("python main.py --fast", "/srv/agent-e", "agent-e"),
        ("python -m shop.worker", "/srv/x", "shop"),
        ("python -X dev -W error -B worker.py", "/", "worker"),
        ("python /bin/consume -A shop worker", "/srv/x", "consume"),
        ("python /bin/arq worker.WorkerSettings", "/srv/x", "worker"),
        ("python /bin/arq --burst shop.jobs.WorkerSettings", "/srv/x", "shop"),
        ("python -m arq main.WorkerSettings", "/srv/agent-g", "agent-g"),
        ("python /bin/rq worker high default --url redis://redis:6379", "/srv/agent-h", "agent-h"),
        ("python /bin/rq worker", "/app", "rq"),
        ("python -m rq.cli worker", "/srv/agent-i", "agent-i"),
        ("python /bin/celery -A shop.tasks worker -c 2", "/srv/x", "shop"),
        ("python /bin/celery --app=shop:app beat", "/srv/x", "shop"),
        ("python -m celery --app main worker -l INFO", "/srv/agent-l", "agent-l"),
        ("python /bin/celery worker", "/srv/agent-m", "agent-m"),
        ("python /bin/taskiq worker -w 2 shop.tasks:broker shop.more", "/srv/x", "shop"),
        ("python /bin/faststream run main:app --workers 2", "/srv/agent-n", "agent-n"),
        ("python /bin/dramatiq shop.tasks -p 2 -t 4", "/srv/x", "shop"),
        ("python /bin/dramatiq -p 2 -t 4 tasks", "/srv/x", "tasks"),
        ("python /bin/dramatiq shop:broker shop.tasks", "/srv/x", "shop"),
        ("python -m dramatiq main", "/srv/agent-j", "agent-j"),
        ("python /bin/huey_consumer.py -w 4 -k process shop.queue.huey", "/srv/x", "shop"),
        ("python /bin/huey_consumer main.huey -k greenlet", "/srv/agent-k", "agent-k"),
        ("python -m huey.bin.huey_consumer shop.huey", "/srv/x", "shop"),
        ("python agent.py --model ollama:llama3", "/srv/x", "agent"),
        ("python agent.py --user admin:hunter", "/srv/x", "agent"),
        ("python /bin/uvicorn --forwarded-allow-ips a:b shop.main:app", "/srv/x", "shop"),
        ("python /bin/uvicorn --factory shop.main:make", "/srv/x", "shop"),
        ("python /bin/gunicorn --env DB:x shop.main:app", "/srv/x", "shop"),
        ("python /bin/gunicorn -c gunicorn.conf.py shop.wsgi", "/srv/x", "shop"),
        ("python /bin/gunicorn shop.wsgi", "/app", "shop"),
        ("python -m debugpy -m uvicorn shop.main:app", "/app", "shop"),
        ("python", "/srv/agent-f", "agent-f"),
        ("python -c pass", "/", "python"),
    ],
)
def test_the_command_names_the_service(command: str, directory: str, name: str) -> None:
    assert derive_service_name(command.split(), directory) == name


def test_a_spawned_worker_takes_its_parents_name() -> None:
    """Multiprocessing starts workers as `python -c 'from multiprocessing.spawn import ...'`, options repeated."""
    command = ["python", "-B", "-X", "dev", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"]
    assert derive_service_name(command, "/srv/x", "agent-a") == "agent-a"


def test_a_child_with_a_command_of_its_own_keeps_its_own_name() -> None:
    assert derive_service_name(["python", "tool.py"], "/srv/x", "agent-a") == "tool"


class TestOfAProgramThatAServiceRuns:
    """The name that is set for a service is not that of the programs which it runs."""

    @staticmethod
    def name_of(command: str, directory: str = "/srv/agent-a", **environ: str) -> str:
        return read_settings({"OTEL_SERVICE_NAME": "shop", **environ}, command.split(), directory).service_name

    def test_another_program_has_a_name_of_its_own(self) -> None:
        assert self.name_of("python tool.py", **{PARENT_SERVICE: "agent-a,shop"}) == "tool"

    def test_one_that_was_given_another_name_keeps_it(self) -> None:
        assert self.name_of("python tool.py", **{PARENT_SERVICE: "agent-a,other"}) == "shop"

    def test_the_same_program_once_more_is_the_service(self) -> None:
        command = "python /bin/uvicorn main:app"
        assert self.name_of(command, **{PARENT_SERVICE: "agent-a,shop"}) == "shop"

    def test_a_command_that_names_nothing_is_the_service(self) -> None:
        assert self.name_of("python -c pass", "/srv/x", **{PARENT_SERVICE: "agent-a,shop"}) == "shop"

    def test_nobody_has_said_so(self) -> None:
        assert self.name_of("python tool.py") == "shop"

    def test_the_name_among_the_resource_attributes(self) -> None:
        environ = {"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,a=b"}
        assert self.name_of("python tool.py", **environ, **{PARENT_SERVICE: "agent-a,shop"}) == "tool"

    def test_what_a_service_says(self) -> None:
        shop = read_settings({"OTEL_SERVICE_NAME": "shop"}, ["python", "main.py"], "/srv/agent-a")
        (said,) = word_to_programs(shop).values()
        assert said.endswith(",shop")
        derived = read_settings({}, ["python", "main.py"], "/srv/agent-a")
        (said,) = word_to_programs(derived).values()
        assert said.endswith(",")
