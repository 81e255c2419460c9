"""Logging in and out, and who one is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.auth import sessions, steps
from api.auth.dependencies import Caller, TheCentre
from api.auth.gate import COOKIE, STEP_COOKIE, csrf_token, is_same_origin
from api.auth.sessions import Attempt, Device, Opened, Rules
from api.auth.steps import HalfOpen
from api.centre import Centre
from core.errors import Forbidden, Invalid
from core.permissions import Action, Principal, Reach
from core.sealing import load_sealer

router = APIRouter(prefix="/v1", tags=["identity"])


Everywhere = Annotated[bool, Query(description="End all of this person's sessions, on every device")]


class Credentials(BaseModel):
    """A person's name and password."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "analyst", "password": "correct horse battery"}]})

    name: str = Field(min_length=1, max_length=128)
    password: SecretStr = Field(min_length=1, max_length=1024)


class Me(BaseModel):
    """The caller's identity. `agency` is '' for people of the centre and keys of every agency."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "user",
                    "name": "analyst",
                    "agency": "",
                    "roles": ["analyst"],
                    "actions": {"incidents:read": "all", "logs:read": "all"},
                    "csrf_token": "f3b1...",
                }
            ]
        }
    )

    kind: str
    name: str
    agency: str
    roles: list[str]
    actions: dict[Action, Reach]
    due: str = Field(default="", description="What has to be done before anything else: `password` or `second_factor`")
    csrf_token: str = Field(default="", description="Send it as X-CSRF-Token with every changing request that carries the session cookie")


class LoggedIn(Me):
    """A new session; its cookie comes in Set-Cookie."""

    expires_at: datetime


class CodeNeeded(BaseModel):
    """The password was right; a cookie that opens nothing else waits for POST /v1/login/code."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"next": "code", "expires_in": 600}]})

    next: Literal["code"] = "code"
    expires_in: int = Field(default=int(steps.HOLDS.total_seconds()), description="Seconds until one has to begin again")


class Code(BaseModel):
    """A code of one's authenticator app, or a recovery code."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "492039"}]})

    code: SecretStr = Field(min_length=1, max_length=64)


@router.post(
    "/login",
    summary="Log in with name and password",
    openapi_extra={"security": []},
    responses={202: {"model": CodeNeeded, "description": "The password was right; a code is needed besides"}},
)
def log_in(credentials: Credentials, request: Request, response: Response, centre: TheCentre) -> LoggedIn | CodeNeeded:
    """Open a session. After repeated failures the name and the address have to wait: 429 with Retry-After."""
    opened = begin_session(request, centre, credentials.name, credentials.password.get_secret_value())
    set_cookie(request, response, centre, opened)
    if isinstance(opened, HalfOpen):
        response.status_code = 202
        return CodeNeeded()
    return LoggedIn(**_identity(opened.principal, opened.token), expires_at=opened.expires_at)


@router.post("/login/code", summary="Finish a log-in with a code", openapi_extra={"security": []})
def finish_log_in(given: Code, request: Request, response: Response, centre: TheCentre) -> LoggedIn:
    """Open the session that waits for a code since POST /v1/login. A code is taken once; wrong ones make the account wait, too."""
    opened = finish_session(request, centre, given.code.get_secret_value())
    set_cookie(request, response, centre, opened)
    return LoggedIn(**_identity(opened.principal, opened.token), expires_at=opened.expires_at)


@router.post("/logout", status_code=204, summary="End this session")
def log_out(response: Response, caller: Caller, centre: TheCentre, everywhere: Everywhere = False) -> None:
    """End the session of the cookie; a key is revoked by DELETE /v1/keys/{key_id} instead."""
    if not caller.session:
        raise Invalid("this request carries a key, not a session")
    end = sessions.end_all if everywhere else sessions.log_out
    end(centre.database, caller)
    response.delete_cookie(COOKIE, path="/")


@router.get("/me", summary="Who am I, and what may I do")
def me(caller: Caller, request: Request) -> Me:
    """The identity this request came with."""
    return Me(**_identity(caller, request.cookies[COOKIE] if caller.session else ""))


def _identity(caller: Principal, cookie: str) -> dict[str, Any]:
    return {
        "kind": caller.kind,
        "name": caller.name,
        "agency": caller.agency,
        "roles": list(caller.roles),
        "actions": dict(caller.grants),
        "due": caller.due,
        "csrf_token": csrf_token(cookie) if cookie else "",
    }


def begin_session(request: Request, centre: Centre, name: str, password: str) -> Opened | HalfOpen:
    """Log in for whoever sends `request`. Forbidden when another site made the browser send it; otherwise as `sessions.log_in`."""
    _own_site(request)
    came = device_of(request)
    return sessions.log_in(centre.database, Attempt(name, password, came.peer, came.user_agent), Rules.of(centre.settings.api))


def finish_session(request: Request, centre: Centre, code: str) -> Opened:
    """The second step, for whoever has the cookie of the first; otherwise as `sessions.finish`."""
    _own_site(request)
    cookie, sealer = request.cookies.get(STEP_COOKIE, ""), load_sealer(centre.settings.secrets_key)
    return sessions.finish(centre.database, cookie, code, device_of(request), Rules.of(centre.settings.api), sealer)


def device_of(request: Request) -> Device:
    """Where a request comes from."""
    return Device(request.client.host if request.client else "", request.headers.get("User-Agent", ""))


def set_cookie(request: Request, response: Response, centre: Centre, opened: Opened | HalfOpen) -> None:
    """Give the browser its session, or half of one: not readable by scripts, not sent by other sites, over TLS only where there is TLS."""
    secure = is_secure(request)
    if isinstance(opened, HalfOpen):
        seconds = int(steps.HOLDS.total_seconds())
        response.set_cookie(STEP_COOKIE, opened.token, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)
        return
    seconds = centre.settings.api.session_hours * 3600
    response.set_cookie(COOKIE, opened.token, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)
    if STEP_COOKIE in request.cookies:
        response.delete_cookie(STEP_COOKIE, path="/")


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, with us or with a proxy before us."""
    return request.url.scheme == "https" or request.headers.get("X-Forwarded-Proto") == "https"


def _own_site(request: Request) -> None:
    if "Origin" in request.headers and not is_same_origin(request.headers):
        raise Forbidden("another site sent this log-in")
