"""Why a request is not taken, in the words of either protocol."""

from __future__ import annotations

from http import HTTPStatus

__all__ = ["RefusedError"]

# google.rpc.Code
_UNKNOWN = 2
_CODES = {
    HTTPStatus.BAD_REQUEST: 3,  # INVALID_ARGUMENT
    HTTPStatus.FORBIDDEN: 7,  # PERMISSION_DENIED
    HTTPStatus.NOT_FOUND: 12,  # UNIMPLEMENTED
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,  # RESOURCE_EXHAUSTED
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: 12,
    HTTPStatus.SERVICE_UNAVAILABLE: 14,  # UNAVAILABLE
}


class RefusedError(Exception):
    """The request is answered with this HTTP status and sentence, over gRPC with the code that corresponds."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = _CODES.get(status, _UNKNOWN)
