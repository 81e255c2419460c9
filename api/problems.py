"""Every error answer of the API: a problem document (RFC 9457) made in one place from the tree of errors.

`type` is `about:blank` unless a stable `code` says more; `code` is for machines, `detail` for people; `request_id` finds the request in
the log. A message of a defect never leaves the process.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from core.errors import BongsuError, BusFull, BusUnavailable, DomainError, QueryTooCostly, StoreUnavailable, TooMany

MEDIA_TYPE: Final = "application/problem+json"
TAXII: Final = "/taxii2/"
"""Below this path errors are those of TAXII 2.1 (3.6.1)."""
_UNAVAILABLE_RETRY: Final = 5.0
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 428: "precondition_required"}
"""Of errors the framework raises; those of our tree carry their own."""
_log = structlog.get_logger()


class FieldProblem(BaseModel):
    """What is wrong with one part of a request."""

    where: str
    reason: str


class Problem(BaseModel):
    """An error answer (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:bongsu:problem:not_found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "there is no such incident",
                    "instance": "/v1/incidents/0",
                    "code": "not_found",
                    "request_id": "5f0c1d2e3b4a49568778695a4b3c2d1e",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldProblem] | None = None


def answer(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    retry_after: float | None = None,
    errors: list[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """The problem document as a response. `retry_after` is in seconds, rounded up."""
    sent = dict(headers or {})
    if retry_after is not None:
        sent["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if request.url.path.startswith(TAXII):
        return _taxii(request, status, code, detail, sent)
    problem = Problem(
        type=f"urn:bongsu:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        request_id=request.scope.get("state", {}).get("request_id", ""),
        errors=errors,
    )
    if status == HTTPStatus.UNAUTHORIZED:
        sent.setdefault("WWW-Authenticate", 'Bearer realm="bongsu"')
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers=sent, media_type=MEDIA_TYPE)


def _taxii(request: Request, status: int, code: str, detail: str, headers: dict[str, str]) -> JSONResponse:
    """The error as a TAXII error resource; a filter that is wrong is 400 there."""
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and request.method == "GET":
        status = 400
    if status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", 'Basic realm="bongsu", Bearer realm="bongsu"')
    told = {"title": HTTPStatus(status).phrase, "description": detail, "error_code": code, "http_status": str(status)}
    named = {"error_id": request.scope.get("state", {}).get("request_id", "")}
    return JSONResponse(told | named, status, headers=headers, media_type="application/taxii+json;version=2.1")


def install(app: FastAPI) -> None:
    """Answer every foreseen error of `app`'s routes with a problem document; what comes from around them is the envelope's."""
    for kind in (BongsuError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, of_error)


def of_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to an error of our tree, a malformed request, an HTTP error of the framework, or one that nobody foresaw."""
    match error:
        case DomainError():
            retry_after = error.retry_after if isinstance(error, TooMany) else None
            return answer(request, error.status, error.code, str(error), retry_after=retry_after)
        case BusFull():
            return answer(request, 503, "busy", f"nothing was accepted: {error}", retry_after=error.retry_after)
        case BusUnavailable() | StoreUnavailable():
            _log.error("api.unavailable", path=request.url.path, error=str(error))
            detail = "a part of the centre does not answer; try again later"
            return answer(request, 503, "unavailable", detail, retry_after=_UNAVAILABLE_RETRY)
        case QueryTooCostly():
            return answer(request, 422, "too_costly", f"{error}; ask for a shorter time or with more filters")
        case RequestValidationError():
            return _malformed(request, error)
        case HTTPException():
            code = _CODES.get(error.status_code, f"http_{error.status_code}")
            return answer(request, error.status_code, code, str(error.detail), headers=dict(error.headers or {}))
        case _:
            return _of_defect(request, error)


def _of_defect(request: Request, error: Exception) -> JSONResponse:
    """The answer to an error nobody foresaw; what it was goes to the log only."""
    _log.error("api.defect", method=request.method, path=request.url.path, exc_info=error)
    return answer(request, 500, "defect", "something broke on our side; the log of the centre has more under this request_id")


def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    errors = [
        FieldProblem(where=".".join(str(part) for part in found["loc"]), reason=found["msg"].removeprefix("Value error, "))
        for found in error.errors()
    ]
    return answer(request, 422, "malformed", "; ".join(f"{found.where}: {found.reason}" for found in errors), errors=errors)
