"""The log-in page and the two preferences, as plain HTML: nothing of the dashboard is served to strangers.

The page has no script. The session it opens is the API's own.
"""

from __future__ import annotations

import re
from html import escape
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.auth import sessions
from api.auth.dependencies import Caller, TheCentre
from api.auth.gate import COOKIE
from api.dashboard import beacons
from api.dashboard.preferences import Theme, other_language, remember, texts_of, theme_of
from api.dashboard.texts import Language, Texts
from api.routes.login import open_session, set_cookie
from core.errors import DomainError, Forbidden, StoreUnavailable, TooMany, Unauthenticated

_LOCAL_PATH: Final = re.compile(r"/(?![/\\])[A-Za-z0-9/_.-]*")

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Query(alias="next", max_length=512)]


@router.get("/login")
def login_page(request: Request, following: Next = "/") -> HTMLResponse:
    """The form."""
    return _page(request, following)


@router.post("/login")
def log_in(
    request: Request,
    centre: TheCentre,
    name: Annotated[str, Form(max_length=128)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    following: Next = "/",
) -> Response:
    """Open a session and go on to where one wanted to be; the form again, with the reason, when that fails."""
    try:
        opened = open_session(request, centre, name, password)
    except (DomainError, StoreUnavailable) as error:
        return _page(request, following, name, error)
    answer = RedirectResponse(_local(following), status_code=303)
    set_cookie(request, answer, centre, opened)
    return answer


@router.post("/logout")
def log_out(centre: TheCentre, caller: Caller) -> RedirectResponse:
    """End the session and show the form."""
    if caller.session:
        sessions.log_out(centre.database, caller)
    answer = RedirectResponse("/login", status_code=303)
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


def _local(path: str) -> str:
    """`path` when it is one of ours, else the front page: nobody is sent to another site."""
    return path if _LOCAL_PATH.fullmatch(path) else "/"


def _reason(t: Texts, error: Exception) -> str:
    match error:
        case TooMany():
            return t("login.wait", seconds=round(error.retry_after))
        case Unauthenticated():
            return t("login.wrong")
        case Forbidden():
            return t("login.foreign")
        case _:
            return t("login.unavailable")


def _page(request: Request, following: str, name: str = "", error: Exception | None = None) -> HTMLResponse:
    t = texts_of(request)
    where = _local(following)
    alert = f'<p class="login-error" role="alert">{escape(_reason(t, error))}</p>' if error else ""
    offered = other_language(t.language)
    html = _HTML.format(
        language=t.language,
        theme=theme_of(request),
        title=f"{t('login.title')} · {t('product')}",
        mark=beacons.MARK,
        product=t("product"),
        tagline=t("tagline"),
        alert=alert,
        action=f"/login?next={quote(where, safe='/')}",
        name_label=t("login.name"),
        name=escape(name, quote=True),
        name_focus="" if name else " autofocus",
        password_label=t("login.password"),
        password_focus=" autofocus" if name else "",
        submit=t("login.submit"),
        notice=t("login.notice"),
        other=offered,
        other_href=f"/preferences?language={offered}&amp;next={quote('/login', safe='/')}",
        other_label=t("language.other"),
    )
    answer = HTMLResponse(html, status_code=_status(error))
    if isinstance(error, TooMany):
        answer.headers["Retry-After"] = str(round(error.retry_after))
    return answer


def _status(error: Exception | None) -> int:
    if error is None:
        return 200
    return error.status if isinstance(error, DomainError) else 503


_HTML: Final = """<!doctype html>
<html lang="{language}" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="icon" href="/static/beacon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/bongsu.css">
</head>
<body class="login">
<main class="login-card">
<div class="login-brand"><span class="mark">{mark}</span><span><b>{product}</b><small>{tagline}</small></span></div>
{alert}
<form method="post" action="{action}">
<label for="name">{name_label}</label>
<input id="name" name="name" value="{name}" autocomplete="username" autocapitalize="none" spellcheck="false" required{name_focus}>
<label for="password">{password_label}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{password_focus}>
<button type="submit">{submit}</button>
</form>
<p class="login-notice">{notice}</p>
</main>
<a class="login-language" href="{other_href}" lang="{other}" hreflang="{other}">{other_label}</a>
</body>
</html>
"""
