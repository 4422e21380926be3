"""What the demo claims, each claim checked on the spans that arrived and the lines that were logged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tracebaton.view.spans import Span

# The three ids are named as the OTLP specification wants them in logs that are no OTLP; the rest is this project's.
LOG_FIELDS = ("timestamp", "level", "logger", "message", "service.name", "trace_id", "span_id", "trace_flags")

Logs = Mapping[str, Sequence[Mapping[str, Any]]]  # by service


@dataclass(frozen=True)
class Claim:
    text: str
    problem: str = ""

    @property
    def holds(self) -> bool:
        return not self.problem


def requests(spans: Iterable[Span], service: str, endpoint: str) -> list[Span]:
    """The SERVER spans of the requests that `service` got for paths ending in `endpoint`."""
    return [
        span for span in spans if span.kind == "SERVER" and span.service == service and _path(span).endswith(endpoint)
    ]


def find_request(spans: Iterable[Span], service: str, endpoint: str, status: int) -> Span | None:
    """The first request of which `service` made a response with this HTTP status."""
    return next((span for span in requests(spans, service, endpoint) if _http_status(span) == status), None)


def trace_of(spans: Iterable[Span], request: Span) -> list[Span]:
    return [span for span in spans if span.trace_id == request.trace_id]


def check_hops(
    what: str, spans: Sequence[Span], first: Span | None, chain: Sequence[str], endpoint: str
) -> list[Claim]:
    """`first`, the request to the first agent of `chain`, is one trace with the requests to all the others."""
    if first is None:
        return [Claim(f"{what}: one trace id across the hops", f"no such request to {chain[0]} was received")]
    trace = trace_of(spans, first)
    hops = {service: requests(trace, service, endpoint) for service in chain}
    uneven = {service: len(found) for service, found in hops.items() if len(found) != 1}
    if uneven:
        counts = ", ".join(f"{count} from {service}" for service, count in uneven.items())
        return [Claim(f"{what}: one trace id across the hops", f"server spans in trace {first.trace_id}: {counts}")]
    servers = {service: found[0] for service, found in hops.items()}
    return [
        Claim(f"{what}: one trace id across the hops"),
        Claim(f"{what}: each hop is the child of the call that made it", _unlinked(trace, list(servers.values()))),
        Claim(f"{what}: Redis commands under the request of each hop", _without_redis(trace, servers)),
    ]


def check_failure(spans: Sequence[Span], failing: Span | None, culprit: str, endpoint: str) -> Claim:
    text = f"failing chat: {culprit}'s span has the exception"
    found = requests(trace_of(spans, failing), culprit, endpoint) if failing else []
    if not found:
        return Claim(text, f"no server span of {culprit}")
    if found[0].status != "ERROR":
        return Claim(text, f"its status is {found[0].status}")
    return Claim(text, "" if any(event.name == "exception" for event in found[0].events) else "no exception on it")


def check_logs(logs: Logs, spans: Sequence[Span], failing: Span | None) -> Claim:
    text = "failing chat: all services' log lines carry its ids"
    if failing is None:
        return Claim(text, "there is no such trace")
    own = {(span.service, span.span_id) for span in trace_of(spans, failing)}
    problems = []
    for service, lines in logs.items():
        of_trace = [line for line in lines if line.get("trace_id") == failing.trace_id]
        if not of_trace:
            problems.append(f"no line of {service} has its trace id")
        for line in of_trace:
            if missing := [field for field in LOG_FIELDS if field not in line]:
                problems.append(f"a line of {service} lacks {', '.join(missing)}")
            elif line["service.name"] != service:
                problems.append(f"a line of {service} says service.name={line['service.name']}")
            elif (service, line["span_id"]) not in own:
                problems.append(f"a line of {service} has the id of no span of it: {line['span_id']}")
    return Claim(text, "; ".join(dict.fromkeys(problems)))


def check_page(page: Mapping[str, Any], trace: Sequence[Span], logs: Logs) -> Claim:
    """`page` is the trace as the page's own API has it."""
    text = "failing chat: the page has all its spans and log lines"
    own = {span.trace_id for span in trace}
    lines = sum(line.get("trace_id") in own for of_service in logs.values() for line in of_service)
    expected, found = (len(trace), lines), (len(page.get("spans", ())), len(page.get("logs", ())))
    return Claim(text, "" if expected == found else f"(spans, lines) are {found} there, {expected} here")


def check_requests(spans: Sequence[Span], service: str, endpoint: str, sent: int) -> Claim:
    """Every one of `sent` requests was recorded, as a trace of its own."""
    found = requests(spans, service, endpoint)
    traces = {span.trace_id for span in found}
    text = f"{sent} requests to {endpoint} gave {sent} traces"
    return Claim(text, "" if len(found) == len(traces) == sent else f"{len(found)} spans in {len(traces)} traces")


def check_complete(spans: Sequence[Span]) -> Claim:
    present = {(span.trace_id, span.span_id) for span in spans}
    orphans = [span for span in spans if span.parent_span_id and (span.trace_id, span.parent_span_id) not in present]
    named = ", ".join(sorted({f"{span.service} {span.name}" for span in orphans}))
    return Claim("no span lacks its parent", f"{len(orphans)} do: {named}" if orphans else "")


def _unlinked(trace: Sequence[Span], servers: Sequence[Span]) -> str:
    """Which hop's SERVER span is no child of a CLIENT span of the hop before; in words, or nothing."""
    by_id = {span.span_id: span for span in trace}
    if servers[0].parent_span_id:
        return f"{servers[0].service} should be the root"
    for before, after in pairwise(servers):
        call = by_id.get(after.parent_span_id)
        if (
            call is None
            or (call.service, call.kind) != (before.service, "CLIENT")
            or not _is_below(call, before, by_id)
        ):
            return f"{after.service} is no child of a call by {before.service}"
    return ""


def _without_redis(trace: Sequence[Span], servers: Mapping[str, Span]) -> str:
    by_id = {span.span_id: span for span in trace}
    redis = [
        span for span in trace if "redis" in {span.attributes.get("db.system"), span.attributes.get("db.system.name")}
    ]
    lacking = [
        service
        for service, server in servers.items()
        if not any(span.service == service and _is_below(span, server, by_id) for span in redis)
    ]
    return f"none under {', '.join(lacking)}" if lacking else ""


def _is_below(span: Span, ancestor: Span, by_id: Mapping[str, Span]) -> bool:
    """Whether `ancestor` is reached from `span` by parents within the same process."""
    parent = by_id.get(span.parent_span_id)
    for _ in by_id:  # not for ever, whatever was received
        if parent is None or parent.service != ancestor.service:
            return False
        if parent.span_id == ancestor.span_id:
            return True
        parent = by_id.get(parent.parent_span_id)
    return False


def _path(span: Span) -> str:
    """The request's path, in the new semantic conventions or the old ones."""
    return str(span.attributes.get("url.path") or span.attributes.get("http.target") or "").split("?")[0]


def _http_status(span: Span) -> object:
    return span.attributes.get("http.response.status_code", span.attributes.get("http.status_code"))
