"""Follows redirects with one client, as `tracebaton run` instruments it; prints what each path was sent. Two servers.

`redirecting_clients.py CLIENT sampled|unsampled`; exit status 77 where the client is not installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

sys.path.append(str(Path(sys.prefix, "other-instrumentations")))

CLIENT, SAMPLED = sys.argv[1], sys.argv[2] == "sampled"
NAME = {"httpx-async": "httpx", "requests-by-hand": "requests", "urllib3-pool": "urllib3", "aiohttp": "aiohttp-client"}
INSTRUMENTOR = {
    "httpx": ("opentelemetry.instrumentation.httpx", "HTTPXClientInstrumentor"),
    "requests": ("opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
    "urllib": ("opentelemetry.instrumentation.urllib", "URLLibInstrumentor"),
    "urllib3": ("opentelemetry.instrumentation.urllib3", "URLLib3Instrumentor"),
    "aiohttp-client": ("opentelemetry.instrumentation.aiohttp_client", "AioHttpClientInstrumentor"),
}
# What the application itself sends goes on wherever the client takes it.
OWN = {"x-mine": "kept", "baggage": "mine=1"}
seen: dict[str, list[dict[str, str]]] = defaultdict(list)


def serve() -> tuple[str, Any]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, target = self.path.partition("?to=")
            path = "/" + path.rpartition("/")[2]  # a pool asks for a whole URL, as of a proxy
            seen[path].append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(302 if target else 200)
            if target:
                self.send_header("location", target)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name it has there)
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", server


async def call(url: str) -> None:
    if CLIENT == "httpx":
        import httpx

        def get() -> None:
            with httpx.Client(follow_redirects=True) as client:
                client.get(url, headers=OWN)

        await asyncio.to_thread(get)
    elif CLIENT == "httpx-async":
        import httpx

        async with httpx.AsyncClient(follow_redirects=True) as client:
            await client.get(url, headers=OWN)
    elif CLIENT == "requests":
        import requests

        await asyncio.to_thread(requests.get, url, headers=OWN, timeout=5)
    elif CLIENT == "requests-by-hand":
        import requests

        def by_hand() -> None:
            with requests.Session() as session:
                response = session.get(url, headers=OWN, timeout=5, allow_redirects=False)
                list(session.resolve_redirects(response, response.request, timeout=5))

        await asyncio.to_thread(by_hand)
    elif CLIENT == "urllib":
        from urllib.request import Request, urlopen

        await asyncio.to_thread(lambda: urlopen(Request(url, headers=OWN), timeout=5).close())  # noqa: S310
    elif CLIENT == "urllib3":
        import urllib3

        await asyncio.to_thread(lambda: urllib3.PoolManager().request("GET", url, headers=OWN, timeout=5))
    elif CLIENT == "urllib3-pool":
        import urllib3

        base, _, path = url.partition("/start")
        pool = urllib3.connection_from_url(base)
        await asyncio.to_thread(lambda: pool.urlopen("GET", f"/start{path}", headers=OWN, assert_same_host=False))
    else:
        import aiohttp

        async with aiohttp.ClientSession() as session, session.get(url, headers=OWN):
            pass


def main() -> int:
    one, other = serve()[0], serve()[0]
    name = NAME.get(CLIENT, CLIENT)
    os.environ["OTEL_PYTHON_EXCLUDED_URLS"] = "^http://[^/?]+/secret"
    from opentelemetry import context, trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

    from tracebaton_configurator.propagation import http_clients
    from tracebaton_configurator.propagation.w3c import propagator
    from tracebaton_configurator.sampling.decision import UNSAMPLED
    from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

    propagator.install()
    module, instrumentor = INSTRUMENTOR[name]
    try:
        found = getattr(import_module(module), instrumentor)()
        import_module(name.removesuffix("-client"))
    except ImportError:
        return 77
    around = http_clients.around()[name]
    around.before()
    found.instrument(tracer_provider=TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False))
    if around.after is not None:
        around.after()
    span = trace.NonRecordingSpan(
        trace.SpanContext(0xABCDEF, 7, is_remote=False, trace_flags=trace.TraceFlags(SAMPLED))
    )
    current = trace.set_span_in_context(span)
    if not SAMPLED:
        for key in (UNSAMPLED, SUPPRESS_INSTRUMENTATION):
            current = context.set_value(key, value=True, context=current)
    context.attach(current)
    same_pool_only = CLIENT == "urllib3-pool"
    hops = [f"/start-to-secret?to={one}/secret", f"/start?to={one}/end"]
    hops += [hops[0], hops[1]] if same_pool_only else [f"/start-to-secret?to={other}/secret", f"/start?to={other}/end"]
    # Over one that gets it to one that does not.
    hops.append(f"/start?to={one}/end?to={other if not same_pool_only else one}/secret")
    for path in hops:
        asyncio.run(call(one + path))
    sys.stdout.write(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
