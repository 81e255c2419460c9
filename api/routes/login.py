"""Logging in and out, and who one is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.auth import sessions
from api.auth.dependencies import Caller, TheCentre
from api.auth.gate import COOKIE, csrf_token, is_same_origin
from api.auth.sessions import Attempt, Opened
from api.centre import Centre
from core.errors import Forbidden, Invalid
from core.permissions import Action, Principal, Reach

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
    csrf_token: str = Field(default="", description="Send it as X-CSRF-Token with every changing request that carries the session cookie")


class LoggedIn(Me):
    """A new session; its cookie comes in Set-Cookie."""

    expires_at: datetime


@router.post("/login", summary="Log in with name and password", openapi_extra={"security": []})
def log_in(credentials: Credentials, request: Request, response: Response, centre: TheCentre) -> LoggedIn:
    """Open a session. After repeated failures the name and the address have to wait: 429 with Retry-After."""
    opened = open_session(request, centre, credentials.name, credentials.password.get_secret_value())
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
        "csrf_token": csrf_token(cookie) if cookie else "",
    }


def open_session(request: Request, centre: Centre, name: str, password: str) -> Opened:
    """Log in for whoever sends `request`. Forbidden when another site made the browser send it; otherwise as `sessions.log_in`."""
    if "Origin" in request.headers and not is_same_origin(request.headers):
        raise Forbidden("another site sent this log-in")
    peer = request.client.host if request.client else ""
    attempt = Attempt(name, password, peer, request.headers.get("User-Agent", ""))
    return sessions.log_in(centre.database, attempt, timedelta(hours=centre.settings.api.session_hours))


def set_cookie(request: Request, response: Response, centre: Centre, opened: Opened) -> None:
    """Give the browser its session: not readable by scripts, not sent by other sites, over TLS only where there is TLS."""
    seconds = centre.settings.api.session_hours * 3600
    secure = request.url.scheme == "https" or request.headers.get("X-Forwarded-Proto") == "https"
    response.set_cookie(COOKIE, opened.token, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)
