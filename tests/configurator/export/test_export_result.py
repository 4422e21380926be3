"""OTLP's rules about failures, and the words of real receivers."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracebaton_configurator.export.export_result import ExportResult, Outcome, no_answer, of_grpc, of_http

CODES = {
    1: ("CANCELLED", Outcome.RETRY),
    2: ("UNKNOWN", Outcome.REFUSED),
    3: ("INVALID_ARGUMENT", Outcome.REFUSED),
    4: ("DEADLINE_EXCEEDED", Outcome.RETRY),
    5: ("NOT_FOUND", Outcome.REFUSED),
    6: ("ALREADY_EXISTS", Outcome.REFUSED),
    7: ("PERMISSION_DENIED", Outcome.REFUSED),
    8: ("RESOURCE_EXHAUSTED", Outcome.REFUSED),
    9: ("FAILED_PRECONDITION", Outcome.REFUSED),
    10: ("ABORTED", Outcome.RETRY),
    11: ("OUT_OF_RANGE", Outcome.RETRY),
    12: ("UNIMPLEMENTED", Outcome.REFUSED),
    13: ("INTERNAL", Outcome.REFUSED),
    14: ("UNAVAILABLE", Outcome.RETRY),
    15: ("DATA_LOSS", Outcome.RETRY),
    16: ("UNAUTHENTICATED", Outcome.REFUSED),
}


def details(*messages: RetryInfo | Status, padded: bool = True) -> str:
    status = Status(code=14)
    for message in messages:
        packed = AnyMessage()
        packed.Pack(message)
        status.details.append(packed)
    text = b64encode(status.SerializeToString()).decode()
    return text if padded else text.rstrip("=")


def wait_of(seconds: float) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(round(seconds * 1e9))
    return info


def partial(rejected: int, message: str = "") -> bytes:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


class TestGrpc:
    def test_success(self) -> None:
        assert of_grpc("200", {"grpc-status": "0"}, b"\0\0\0\0\0") == ExportResult(Outcome.DELIVERED)
        assert of_grpc("200", {"grpc-status": "0"}, b"") == ExportResult(Outcome.DELIVERED)

    def test_partial_success(self) -> None:
        result = of_grpc("200", {"grpc-status": "0"}, b"\0\0\0\0\7" + partial(3, "too\nold"))
        assert result == ExportResult(Outcome.DELIVERED, "too old", rejected=3)

    def test_a_success_with_a_message_that_is_none(self) -> None:
        assert of_grpc("200", {"grpc-status": "0"}, b"\0\0\0\0\7garbage") == ExportResult(Outcome.DELIVERED)

    @pytest.mark.parametrize("code", CODES)
    def test_each_code(self, code: int) -> None:
        name, outcome = CODES[code]
        result = of_grpc("200", {"grpc-status": str(code), "grpc-message": "no%2C%0Athanks"}, b"")
        assert result == ExportResult(outcome, f"{name}: no, thanks")

    @pytest.mark.parametrize("status", ["17", "-1", "", "²", "9" * 5000, "two"])
    def test_codes_that_are_none_are_not_retried(self, status: str) -> None:
        assert of_grpc("200", {"grpc-status": status}, b"").outcome is Outcome.REFUSED

    @pytest.mark.parametrize(("code", "padded"), [(8, True), (8, False), (14, True)])
    def test_retry_info(self, code: int, padded: bool) -> None:  # noqa: FBT001 (a parameter of the test)
        headers = {"grpc-status": str(code), "grpc-status-details-bin": details(Status(), wait_of(2.5), padded=padded)}
        result = of_grpc("200", headers, b"")
        assert (result.outcome, result.wait) == (Outcome.RETRY, 2.5)

    @pytest.mark.parametrize(("seconds", "wait"), [(-5, 0.0), (1e6, 300.0)])
    def test_retry_info_is_bounded(self, seconds: float, wait: float) -> None:
        headers = {"grpc-status": "14", "grpc-status-details-bin": details(wait_of(seconds))}
        assert of_grpc("200", headers, b"").wait == wait

    @pytest.mark.parametrize("text", ["", "!", "AAAA", "é", details(Status())])
    def test_details_without_it(self, text: str) -> None:
        assert of_grpc("200", {"grpc-status": "14", "grpc-status-details-bin": text}, b"").wait is None

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (8, "grpc: received message larger than max (5000000 vs. 4194304)"),  # grpc-go
            (8, "grpc: received message after decompression larger than max (5000000 vs. 4194304)"),
            (8, "Received message larger than max (5000000 vs. 4194304)"),  # grpc C++
            (8, "gRPC message exceeds maximum size 4194304: 5000000"),  # grpc-java
            (11, "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes"),  # tonic
        ],
    )
    def test_messages_that_are_too_large_are_split(self, code: int, message: str) -> None:
        headers = {"grpc-status": str(code), "grpc-message": message}
        assert of_grpc("200", headers, b"").outcome is Outcome.SPLIT

    @pytest.mark.parametrize("code", [1, 4, 10, 14, 15])
    def test_a_receiver_that_has_too_much_to_do_is_not_asked_for_less_at_a_time(self, code: int) -> None:
        headers = {"grpc-status": str(code), "grpc-message": "the number of requests exceeds the limit"}
        assert of_grpc("200", headers, b"").outcome is Outcome.RETRY

    def test_a_rate_that_is_too_large_comes_with_a_wait(self) -> None:
        message = "the rate exceeds the limit of the tenant"
        headers = {"grpc-status": "8", "grpc-message": message, "grpc-status-details-bin": details(wait_of(1))}
        assert of_grpc("200", headers, b"").outcome is Outcome.RETRY

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            ("200", Outcome.RETRY),  # cut before the trailers
            ("400", Outcome.REFUSED),
            ("401", Outcome.REFUSED),
            ("403", Outcome.REFUSED),
            ("404", Outcome.REFUSED),
            ("413", Outcome.SPLIT),  # nginx's client_max_body_size
            ("429", Outcome.RETRY),
            ("502", Outcome.RETRY),
            ("503", Outcome.RETRY),
            ("504", Outcome.RETRY),
            ("500", Outcome.REFUSED),
            ("", Outcome.REFUSED),
            ("²", Outcome.REFUSED),
        ],
    )
    def test_answers_of_proxies(self, status: str, outcome: Outcome) -> None:
        assert of_grpc(status, {}, b"<html>").outcome is outcome

    @given(
        st.text(),
        st.dictionaries(
            st.sampled_from(["grpc-status", "grpc-message", "grpc-status-details-bin"]), st.text(max_size=400)
        ),
        st.binary(),
    )
    def test_nothing_raises_and_no_reason_has_more_than_a_line(
        self, status: str, headers: dict[str, str], body: bytes
    ) -> None:
        result = of_grpc(status, headers, body)
        assert not result.reason or result.reason.isprintable()
        assert len(result.reason) <= 400


class TestHttp:
    @pytest.mark.parametrize("status", [200, 202, 204])
    def test_success(self, status: int) -> None:
        assert of_http(status, {}, b"") == ExportResult(Outcome.DELIVERED)

    def test_partial_success(self) -> None:
        headers = {"content-type": "application/x-protobuf"}
        assert of_http(200, headers, partial(2, "no")) == ExportResult(Outcome.DELIVERED, "no", rejected=2)
        assert of_http(200, headers, partial(0, "slow down")) == ExportResult(Outcome.DELIVERED, "slow down")
        assert of_http(200, headers, partial(-7)) == ExportResult(Outcome.DELIVERED)

    def test_a_success_in_another_format(self) -> None:
        assert of_http(200, {"content-type": "application/json"}, b"{}") == ExportResult(Outcome.DELIVERED)

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_what_is_retried(self, status: int) -> None:
        assert of_http(status, {}, b"") == ExportResult(Outcome.RETRY, f"HTTP status {status}")

    @pytest.mark.parametrize("status", [301, 308, 400, 401, 403, 404, 405, 415, 500, 501, 505])
    def test_what_is_not(self, status: int) -> None:
        assert of_http(status, {"retry-after": "5"}, b"") == ExportResult(Outcome.REFUSED, f"HTTP status {status}")

    def test_too_large(self) -> None:
        assert of_http(413, {}, b"").outcome is Outcome.SPLIT

    def test_the_reason_is_the_receivers(self) -> None:
        status = Status(message="a\tb").SerializeToString()
        assert of_http(400, {"content-type": "application/x-protobuf"}, status).reason == "HTTP status 400: a b"
        assert of_http(400, {"content-type": "application/x-protobuf"}, b"\xff").reason == "HTTP status 400"
        assert of_http(400, {"content-type": "text/plain"}, b" why\n not \xff").reason.startswith(
            "HTTP status 400: why  not"
        )
        assert of_http(400, {"content-type": "text/html"}, b"<html>").reason == "HTTP status 400"

    @pytest.mark.parametrize(
        ("value", "wait"),
        [("7", 7.0), (" 0 ", 0.0), ("99999999999", 300.0), ("²", None), ("soon", None), ("-1", None), ("", None)],
    )
    def test_retry_after_in_seconds(self, value: str, wait: float | None) -> None:
        assert of_http(503, {"retry-after": value}, b"").wait == wait

    def test_retry_after_as_a_date(self) -> None:
        soon = datetime.now(timezone.utc) + timedelta(seconds=60)
        wait = of_http(429, {"retry-after": format_datetime(soon, usegmt=True)}, b"").wait
        assert wait is not None
        assert 30 < wait <= 60
        assert of_http(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"").wait == 0.0
        assert of_http(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00"}, b"").wait == 0.0

    @given(
        st.integers(200, 599),
        st.dictionaries(st.sampled_from(["content-type", "retry-after"]), st.text(max_size=400)),
        st.binary(),
    )
    def test_nothing_raises(self, status: int, headers: dict[str, str], body: bytes) -> None:
        result = of_http(status, headers, body)
        assert not result.reason or result.reason.isprintable()


def test_no_answer_is_a_reason_to_try_again() -> None:
    assert no_answer("a\nb\x1b[31m") == ExportResult(Outcome.RETRY, "a b [31m")
