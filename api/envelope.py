"""What surrounds every request: an id, security headers, limits on query and body, and the count of requests.

Every answer says in `Server-Timing` how many milliseconds passed until it began.

Pure ASGI, so that a streamed body is never buffered. A defect that escapes the application ends here as a problem document.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.auth.gate import LOGIN_PATHS
from api.auth.oidc import Provider
from api.centre import Centre
from api.live import Changes, Recent, Streams
from api.overview import Overviews
from api.rule_titles import RuleTitles
from core import metrics

LONGEST_QUERY: Final = 8192
LARGEST_BODY: Final = 1 << 20
UNBOUNDED: Final = re.compile(
    r"/v1/logs|/v1/indicators/feeds/|/v1/incidents/[^/]+/attachments$|/v1/duties/[^/]+/files$"
)  # these have limits of their own
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_LOGIN_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# NiceGUI compiles its components in the browser and writes its own inline scripts and styles.
_PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


class Envelope:
    """The outermost layer. It also gives every request and socket the running centre and what its requests share (`state`).

    Where the centre itself speaks TLS, browsers are told to stay with it (RFC 6797).
    """

    def __init__(self, app: ASGIApp, *, centre: Centre) -> None:
        self._app = app
        oidc = centre.settings.api.identity.oidc
        self._given = {
            "centre": centre,
            "overviews": Overviews(centre),
            "streams": Streams(),
            "recent": Recent(centre.store),
            "changes": Changes(centre.database, centre.clock),
            "rule_titles": RuleTitles(centre.database),
            "application": self,
            "provider": None if oidc is None else Provider(oidc, centre.clock.now),
        }
        self._tls = centre.settings.api.tls is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {}).update(self._given)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began = _request_id(Headers(scope=scope)), time.perf_counter()
        scope["state"]["request_id"] = request_id
        status = 0

        async def send_wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
                metrics.REQUEST_SECONDS.labels(_route(scope)).observe(seconds)
                headers = MutableHeaders(scope=message)
                headers["Server-Timing"] = f"total;dur={1000 * seconds:.1f}"
                self._add_headers(headers, scope["path"], request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._inner(scope)(scope, _bounded(scope, receive), send_wrapped)
            except Exception as error:  # noqa: BLE001 - the request's boundary: logged, and answered unless an answer is under way
                answer = problems.of_error(Request(scope), error)
                if not status:
                    await answer(scope, receive, send_wrapped)
            finally:
                metrics.REQUESTS.labels(scope["method"], _route(scope), str(status)).inc()

    def _inner(self, scope: Scope) -> ASGIApp:
        if len(scope["query_string"]) > LONGEST_QUERY:
            return problems.answer(Request(scope), 414, "query_too_long", f"a query has at most {LONGEST_QUERY} bytes")
        return self._app

    def _add_headers(self, headers: MutableHeaders, path: str, request_id: str) -> None:
        headers["X-Request-ID"] = request_id
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Content-Security-Policy"] = _policy(path, headers.get("Content-Type", ""))
        headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
        if self._tls:
            headers["Strict-Transport-Security"] = "max-age=31536000"


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """`receive` that gives no more than the largest body: beyond it whoever reads gets a 413."""
    if UNBOUNDED.match(scope["path"]):
        return receive
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY:
            raise HTTPException(413, f"a body has at most {LARGEST_BODY >> 20} MiB here")
        return message

    return bounded


def _request_id(headers: Headers) -> str:
    given = headers.get("X-Request-ID", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _policy(path: str, content_type: str) -> str:
    if not content_type.startswith("text/html"):
        return _DATA_POLICY
    return _LOGIN_POLICY if path in LOGIN_PATHS else _PAGE_POLICY


def _route(scope: Scope) -> str:
    """The route's template, so that the metric has few values whatever is asked for."""
    route = scope.get("route")
    return getattr(route, "path", "other")
