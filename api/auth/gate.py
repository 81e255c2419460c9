"""The gate before every route: it finds out who calls, and lets nobody pass without identity but to the few open doors.

A machine shows its key (`Authorization: Bearer bongsu_...`; to TAXII also as the password of HTTP Basic) or a client certificate that the
TLS handshake verified and that is registered; a browser its session cookie. What a browser is made to send by another site is refused
(CSRF): with a cookie, a changing request or a socket needs our own `Origin`, or the session's `X-CSRF-Token`; with a certificate, which a
browser would show by itself, it must not come from a page at all. The caller is then `request.state.principal`, and has so many requests a
minute (`api.rates`); while something is due of them, they reach only their own account. Whether they may do what they ask is decided by
the route (`api.auth.dependencies`).
"""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import Final
from urllib.parse import quote, urlsplit

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api import problems
from api.auth import keys, sessions
from api.auth.sessions import Rules
from api.rates import Rates
from core.crypto import derive, same
from core.database import Database
from core.errors import DomainError, Forbidden, StoreUnavailable, TooMany, Unauthenticated
from core.permissions import Principal

COOKIE: Final = "bongsu_session"
STEP_COOKIE: Final = "bongsu_login"
"""Of a log-in that is half done: only the routes that finish it look at it."""
LOGIN_PATHS: Final = frozenset({"/login", "/login/code", "/login/oidc", "/login/oidc/callback", "/v1/login", "/v1/login/code"})
OPEN_PATHS: Final = LOGIN_PATHS | {"/healthz", "/readyz", "/preferences", "/favicon.ico"}
CERTIFICATE: Final = "client_certificate"
"""Where the server puts the SHA-256 (hex) of the certificate a client proved to have: in the state of the ASGI scope."""
INSIDE: Final = "inside"
"""In the state of the scope when a page of this process calls the API for its visitor, whose page was counted already."""
OPEN_FOLDER: Final = "/static/"
OPTIONAL_PATHS: Final = frozenset({"/metrics"})
"""Here identity is looked for, and the route decides what to do without."""
ACCOUNT_PAGE: Final = "/account"
_ACCOUNT: Final = ("/v1/account", "/v1/me", "/v1/logout", "/logout", ACCOUNT_PAGE, "/_nicegui")
"""What whoever has something due (`Principal.due`) reaches: what settles it, and the way out."""
_DUE: Final = {
    "password": "set a password of your own first: POST /v1/account/password",
    "second_factor": "set up a second factor first: POST /v1/account/second-factor",
}
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, database: Database, rates: Rates, rules: Rules) -> None:
        self._app = app
        self._database = database
        self._rates = rates
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if _is_open(scope["path"]):
            await self._open(connection, scope, receive, send)
            return
        try:
            principal = await self._identify(connection)
            if principal is None and scope["path"] not in OPTIONAL_PATHS:
                raise Unauthenticated("log in, send a key as `Authorization: Bearer bongsu_...`, or show a certificate that is registered")
            if principal is not None and scope["type"] == "http" and INSIDE not in scope["state"]:
                self._rates.take(principal.actor)
            if principal is not None and principal.due and not scope["path"].startswith(_ACCOUNT):
                if scope["type"] == "http" and _is_page(Request(scope)):
                    await RedirectResponse(ACCOUNT_PAGE, status_code=303)(scope, receive, send)
                    return
                raise Forbidden(_DUE[principal.due])
        except (DomainError, StoreUnavailable) as error:
            await _refuse(scope, receive, send, error)
            return
        connection.state.principal = principal
        connection.state.identify = partial(self._identify, connection)  # for what outlives a session or key: a stream
        await self._app(scope, receive, send)

    async def _open(self, connection: HTTPConnection, scope: Scope, receive: Receive, send: Send) -> None:
        """What needs no identity. Logging in is work and leaves rows, so an address may ask for it only so often."""
        if scope["path"] in LOGIN_PATHS:
            try:
                self._rates.take(f"address:{connection.client.host if connection.client else ''}")
            except TooMany as error:
                await _refuse(scope, receive, send, error)
                return
        await self._app(scope, receive, send)

    async def _identify(self, connection: HTTPConnection) -> Principal | None:
        scheme, _, credentials = connection.headers.get("Authorization", "").partition(" ")
        key = credentials.strip() if scheme.lower() == "bearer" else _basic(connection, scheme, credentials)
        if key is not None:
            principal = await run_sync(keys.by_text, self._database, key)
            if principal is None:
                raise Unauthenticated("this key is not valid: unknown, expired or revoked")
            return principal
        cookie = connection.cookies.get(COOKIE, "")
        if not cookie:
            return await self._by_certificate(connection)
        principal = await run_sync(sessions.by_token, self._database, cookie, self._rules)
        if principal is not None and not _is_own_doing(connection, cookie):
            raise Forbidden("this request does not come from our own pages: send the session's X-CSRF-Token (GET /v1/me gives it)")
        return principal

    async def _by_certificate(self, connection: HTTPConnection) -> Principal | None:
        """Whose certificate was shown; None for one that is not registered, as a person's browser may show."""
        shown: str = connection.scope["state"].get(CERTIFICATE, "")
        principal = await run_sync(keys.by_certificate, self._database, shown) if shown else None
        if principal is not None and "Origin" in connection.headers and not _is_reading(connection):
            raise Forbidden("a machine's certificate is not used from a page")
        return principal


def csrf_token(cookie: str) -> str:
    """What a program that uses the session `cookie` sends as `X-CSRF-Token`."""
    return derive(cookie, "csrf")


def is_same_origin(headers: Headers) -> bool:
    """Whether the browser says that one of our own pages made this request (Fetch, `Origin`)."""
    origin = headers.get("Origin", "")
    return bool(origin) and urlsplit(origin).netloc == headers.get("Host")


def _is_own_doing(connection: HTTPConnection, cookie: str) -> bool:
    if _is_reading(connection):
        return True
    token = connection.headers.get("X-CSRF-Token")
    if token is not None:
        return same(token, csrf_token(cookie))
    return is_same_origin(connection.headers)


def _basic(connection: HTTPConnection, scheme: str, credentials: str) -> str | None:
    """The password of HTTP Basic (RFC 7617), which for TAXII clients is a key; None where it is not used."""
    if scheme.lower() != "basic" or not connection.scope["path"].startswith(problems.TAXII):
        return None
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except (ValueError, binascii.Error):
        return ""


def _is_reading(connection: HTTPConnection) -> bool:
    return connection.scope["type"] == "http" and connection.scope["method"] in _READING


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


async def _refuse(scope: Scope, receive: Receive, send: Send, error: DomainError | StoreUnavailable) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "not logged in"})
        return
    request = Request(scope)
    if isinstance(error, Unauthenticated) and _is_page(request):
        query = f"?{request.url.query}" if request.url.query else ""
        where = quote(request.url.path + query, safe="/")
        await RedirectResponse(f"/login?next={where}", status_code=303)(scope, receive, send)
        return
    await problems.of_error(request, error)(scope, receive, send)


def _is_page(request: Request) -> bool:
    return (
        request.method == "GET"
        and not request.url.path.startswith(("/v1/", problems.TAXII))
        and "text/html" in request.headers.get("Accept", "")
    )
