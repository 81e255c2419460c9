"""The log-in page and the two preferences, as plain HTML: nothing of the dashboard is served to strangers.

The page has no script. The session it opens is the API's own. Name and password come first, and where the account has a second factor a
code; or the city's own log-in by OpenID Connect, where one is configured. What went wrong is told without telling who exists.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from html import escape
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.auth import provider_accounts, sessions, steps
from api.auth.dependencies import Caller, TheCentre
from api.auth.gate import COOKIE, STEP_COOKIE
from api.auth.oidc import Asked, Provider
from api.auth.sessions import Opened, Rules
from api.auth.steps import HalfOpen, NotLetIn
from api.centre import Centre
from api.dashboard import login_html
from api.dashboard.preferences import Theme, remember, texts_of, theme_of
from api.dashboard.texts import Language, Texts
from api.routes.login import begin_session, device_of, finish_session, is_secure, set_cookie
from core.errors import ConfigError, DomainError, Forbidden, NotFound, StoreUnavailable, TooMany, Unauthenticated
from core.permissions import Principal, Role

_LOCAL_PATH: Final = re.compile(r"/(?![/\\])[A-Za-z0-9/_.-]*(\?[A-Za-z0-9_.~%=&+:,*()-]*)?")
_CALLBACK: Final = "/login/oidc/callback"

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Query(alias="next", max_length=8192)]
Short = Annotated[str, Query(max_length=2048)]


@router.get("/login")
def login_page(request: Request, following: Next = "/", left: Annotated[bool, Query()] = False) -> HTMLResponse:
    """The form; `left` for who was at the city's log-in, and may end that, too."""
    provider, t = _provider(request), texts_of(request)
    notice = ""
    if left and provider is not None and (url := provider.logout_url(_here(request, "/login"))):
        ending = t("End the city's log-in, too")
        notice = f'{escape(t("You are logged out of this system."))} <a href="{escape(url, quote=True)}">{escape(ending)}</a>'
    return _password_page(request, following, notice=notice)


@router.post("/login")
def log_in(
    request: Request,
    centre: TheCentre,
    name: Annotated[str, Form(max_length=128)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    following: Next = "/",
) -> Response:
    """Open a session and go on to where one wanted to be, or to the second step; the form again, with the reason, when that fails."""
    try:
        opened = begin_session(request, centre, name, password)
    except (DomainError, StoreUnavailable) as error:
        return _password_page(request, following, name, error)
    return _go_on(request, centre, opened, following)


@router.get("/login/code")
def code_page(request: Request, following: Next = "/") -> Response:
    """The form of the second step; the first where there was none."""
    if STEP_COOKIE not in request.cookies:
        return RedirectResponse("/login", status_code=303)
    return _code_page(request, following)


@router.post("/login/code")
def finish(request: Request, centre: TheCentre, code: Annotated[str, Form(max_length=64)] = "", following: Next = "/") -> Response:
    """Open the session that waits for a code."""
    try:
        opened = finish_session(request, centre, code)
    except NotLetIn as error:
        return _password_page(request, following, error=error)
    except (DomainError, StoreUnavailable, ConfigError) as error:
        return _code_page(request, following, error)
    return _go_on(request, centre, opened, following)


@router.get("/login/oidc")
def to_provider(request: Request, centre: TheCentre, following: Next = "/") -> Response:
    """Send somebody to the city's log-in."""
    provider = _configured(request)
    asked = Asked.new(provider.settings.redirect_url or _here(request, _CALLBACK), _local(following))
    try:
        answer = RedirectResponse(provider.authorization_url(asked), status_code=303)
        with centre.database.session() as session:
            step = steps.begin(session, "oidc", None, asdict(asked))
    except (DomainError, StoreUnavailable) as error:
        return _password_page(request, following, error=error)
    set_cookie(request, answer, centre, step)
    return answer


@router.get(_CALLBACK)
def from_provider(request: Request, centre: TheCentre, state: Short = "", code: Short = "", iss: Short = "") -> Response:
    """Let in who comes back from there, in the browser that was sent there; once."""
    provider, came = _configured(request), device_of(request)
    following = "/"
    try:
        with centre.database.session() as session:
            held = steps.take(session, "oidc", request.cookies.get(STEP_COOKIE, ""))
        try:
            if held is None:
                raise NotLetIn("expired", "nobody was sent to the provider with this browser, or it is too long ago")
            asked = Asked(**held)
            following = asked.following
            claims = provider.claims(asked, state=state, code=code, issuer=iss)
            person = provider_accounts.person_of(provider.settings, claims)
        except NotLetIn as error:
            provider_accounts.note_failure(centre.database, error, came)
            raise
        opened = provider_accounts.log_in(centre.database, person, came, Rules.of(centre.settings.api))
    except (DomainError, StoreUnavailable) as error:
        answer = _password_page(request, following, error=error)
        answer.delete_cookie(STEP_COOKIE, path="/")
        return answer
    return _go_on(request, centre, opened, following)


@router.post("/logout")
def log_out(request: Request, centre: TheCentre, caller: Caller) -> RedirectResponse:
    """End the session and show the form."""
    method = sessions.log_out(centre.database, caller) if caller.session else ""
    answer = RedirectResponse("/login?left=true" if method == "oidc" and _provider(request) else "/login", status_code=303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.get("/preferences")
def prefer(
    language: Annotated[Language | None, Query()] = None,
    theme: Annotated[Theme | None, Query()] = None,
    following: Next = "/",
) -> RedirectResponse:
    """Remember a language or a theme in the browser, and go back."""
    answer = RedirectResponse(_local(following), status_code=303)
    remember(answer, language, theme)
    return answer


def _go_on(request: Request, centre: Centre, opened: Opened | HalfOpen, following: str) -> Response:
    where = _local(following)
    if isinstance(opened, HalfOpen):
        answer = RedirectResponse(f"/login/code?next={where}", status_code=303)
    else:
        answer = RedirectResponse(_front(opened.principal) if where == "/" else where, status_code=303)
    set_cookie(request, answer, centre, opened)
    return answer


def _front(principal: Principal) -> str:
    """Where somebody begins: the mayor's office has a page of its own."""
    return "/mayor" if principal.roles == (Role.MAYORS_OFFICE,) else "/"


def _provider(request: Request) -> Provider | None:
    found: Provider | None = request.state.provider
    return found


def _configured(request: Request) -> Provider:
    provider = _provider(request)
    if provider is None:
        raise NotFound("no log-in of the city is configured here")
    return provider


def _here(request: Request, path: str) -> str:
    """The address of `path` as the browser knows it."""
    return f"{'https' if is_secure(request) else 'http'}://{request.url.netloc}{path}"


def _local(path: str) -> str:
    """`path` when it is one of ours, else the front page: nobody is sent to another site."""
    return path if _LOCAL_PATH.fullmatch(path) else "/"


def _reason(t: Texts, error: Exception) -> str:
    match error:
        case TooMany():
            return t("Too many failed attempts. Try again in {seconds} seconds.", seconds=round(error.retry_after))
        case NotLetIn():
            return _reason_from_provider(t, error)
        case Unauthenticated():
            return t("The name or the password is wrong.")
        case Forbidden():
            return t("This log-in came from another site and was refused.")
        case _:
            return t("Logging in does not work right now. Try again in a moment.")


def _reason_from_provider(t: Texts, error: NotLetIn) -> str:
    reasons = {
        "expired": t("This log-in took too long, or was begun in another browser. Begin again."),
        "unknown": t("The city's log-in knows you, but you have no role in this system. Ask the SOC lead for one."),
        "disabled": t("This account is disabled. Ask an administrator of this system."),
        "taken": t("Another account of this system has your name already. Tell an administrator of this system."),
        "provider": t("The city's log-in does not answer right now. Try again in a moment."),
    }
    return reasons.get(error.code) or t("The city's log-in gave an answer that does not hold, so nobody was logged in. Begin again.")


def _password_page(request: Request, following: str, name: str = "", error: Exception | None = None, *, notice: str = "") -> HTMLResponse:
    t, provider = texts_of(request), _provider(request)
    label = "" if provider is None else provider.settings.label_en if t.language == "en" else provider.settings.label_ko
    form = login_html.password_form(t, _local(following), name, label)
    return _answer(request, form, _reason(t, error) if error else "", error, notice)


def _code_page(request: Request, following: str, error: Exception | None = None) -> HTMLResponse:
    t = texts_of(request)
    wrong = isinstance(error, Unauthenticated)
    alert = t("This code is wrong, or was used before. Wait for the next one.") if wrong else _reason(t, error) if error else ""
    return _answer(request, login_html.code_form(t, _local(following)), alert, error)


def _answer(request: Request, form: str, alert: str, error: Exception | None, notice: str = "") -> HTMLResponse:
    html = login_html.page(texts_of(request), theme_of(request), form, alert=alert, notice=notice)
    status = 200 if error is None else error.status if isinstance(error, DomainError) else 503
    answer = HTMLResponse(html, status_code=status)
    if isinstance(error, TooMany):
        answer.headers["Retry-After"] = str(round(error.retry_after))
    return answer
