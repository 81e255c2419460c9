"""What a route states about its caller: `Depends(Allowed(Action.X))` gives the principal, or refuses."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from api.auth.gate import COOKIE
from api.centre import Centre
from core.errors import Unauthenticated
from core.permissions import Action, Principal

# These only describe the two ways in for the OpenAPI document: the gate has already looked at both.
_session_scheme = APIKeyCookie(name=COOKIE, scheme_name="session", description="Cookie given by POST /v1/login", auto_error=False)
_key_scheme = HTTPBearer(scheme_name="key", bearerFormat="bongsu_<id>_<secret>", description="Key of a machine", auto_error=False)


def centre(request: Request) -> Centre:
    """The running centre."""
    found: Centre = request.state.centre
    return found


def principal(
    request: Request,
    _session: Annotated[str | None, Depends(_session_scheme)],
    _key: Annotated[object, Depends(_key_scheme)],
) -> Principal:
    """Whoever calls, whatever they may do."""
    found: Principal | None = getattr(request.state, "principal", None)
    if found is None:
        raise Unauthenticated("log in, or send a key")
    return found


class Allowed:
    """A dependency that lets only those pass who hold `action` or one of `others`, for whatever agencies; the route asks for the scope."""

    def __init__(self, action: Action, *others: Action) -> None:
        self.action = action
        self.others = others

    def __call__(self, caller: Annotated[Principal, Depends(principal)]) -> Principal:
        if not any(caller.may(other) for other in self.others):
            caller.scope(self.action)
        return caller


TheCentre = Annotated[Centre, Depends(centre)]
Caller = Annotated[Principal, Depends(principal)]
