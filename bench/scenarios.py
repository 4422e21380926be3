"""What is asked of the application: which path, over how many routes, with how many headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent
HEADERS_BY_NATURE = 1  # wrk sends `Host` and nothing else


@dataclass(frozen=True)
class Scenario:
    """`main` ones have a target to meet, and get more rounds and all contenders."""

    name: str
    title: str
    path: str = "/hello"
    routes: int = 1
    headers: int = HEADERS_BY_NATURE
    connections: int = 16
    script: str = ""
    access_log: bool = False
    baggage: int = 0  # members
    main: bool = False
    calls_httpx: bool = False
    counted: int = 80  # requests in one counting of instructions

    def wrk(self, port: int, seconds: int) -> list[str]:
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s"]
        if self.script:
            command += ["-s", str(BENCH / self.script)]
        for number in range(self.headers - HEADERS_BY_NATURE):
            command += ["-H", f"X-Bench-Header-{number}: value-{number}-of-an-ordinary-length"]
        if self.baggage:
            members = ",".join(f"member-{number}=value-{number}" for number in range(self.baggage))
            command += ["-H", f"baggage: {members}"]
        return [*command, f"http://127.0.0.1:{port}{self.path}"]

    def uvicorn(self) -> list[str]:
        """The arguments that are the same for every contender."""
        log = ["--access-log"] if self.access_log else ["--no-access-log", "--log-level", "warning"]
        return ["app:app", "--host", "127.0.0.1", *log]


SCENARIOS = (
    Scenario("hello", "`GET /hello`", main=True),
    # httpx's connection pool goes through all of its connections for each of them at every request: with 16 in flight a
    # third of the CPU is that, and how much depends on how they happen to fall. With 4 it is httpx and Redis.
    Scenario(
        "chat",
        "`POST /chat` (Redis, one httpx hop)",
        path="/chat",
        script="chat.lua",
        connections=4,
        counted=20,
        main=True,
        calls_httpx=True,
    ),
    Scenario("redis", "one Redis command", path="/redis"),
    Scenario("hop", "one httpx hop", path="/hop", connections=4, counted=40, calls_httpx=True),
    Scenario("routes-500", "`GET /hello`, 500 routes", routes=500, counted=20, main=True),
    Scenario("routes-100", "`GET /hello`, 100 routes", routes=100),
    Scenario("headers-5", "`GET /hello`, 5 headers", headers=5),
    Scenario("headers-40", "`GET /hello`, 40 headers", headers=40),
    Scenario("baggage-4", "`GET /hello`, 4 members of baggage", baggage=4),
    Scenario("baggage-64", "`GET /hello`, 64 members of baggage", baggage=64),
    Scenario("attributes-16", "16 span attributes of the application's", path="/attributes/16"),
    Scenario("attributes-64", "64 span attributes of the application's", path="/attributes/64"),
    Scenario("connections-1", "`GET /hello`, 1 connection", connections=1),
    Scenario("connections-256", "`GET /hello`, 256 connections", connections=256),
    Scenario("line", "one log line", path="/line"),
    Scenario("json-line", "one log line, as JSON by the application", path="/json-line"),
    Scenario("access-log", "`GET /hello`, access log on", access_log=True),
)


def counted_by_default(scenario: Scenario) -> bool:
    """Those with a target: counting takes minutes."""
    return scenario.main or scenario.name in {"redis", "hop"}


def select(names: list[str] | None, *, quick: bool) -> list[Scenario]:
    """Those that `names` asks for, or the default set. Raises ValueError for a name that is none."""
    if names is None:
        return [each for each in SCENARIOS if each.main or not quick]
    known = {each.name: each for each in SCENARIOS}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no scenario {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names]
