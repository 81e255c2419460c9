"""The log-in page as HTML without script: the form of name and password, and that of the code."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import quote

from api.dashboard import beacons
from api.dashboard.preferences import Theme, other_language
from api.dashboard.texts import NAMES, Texts


def password_form(t: Texts, following: str, name: str, provider: str) -> str:
    """The first step. `provider` is what the button of the city's log-in says, '' without one; `following` is a path of ours."""
    where = quote(following, safe="/")
    button = f'<p class="login-or">{t("or")}</p><a class="login-provider" href="/login/oidc?next={where}">{escape(provider)}</a>'
    return _FIRST.format(
        action=f"/login?next={where}",
        name_label=t("User name"),
        name=escape(name, quote=True),
        name_focus="" if name else " autofocus",
        password_label=t("Password"),
        password_focus=" autofocus" if name else "",
        submit=t("Log in"),
        provider=button if provider else "",
    )


def code_form(t: Texts, following: str) -> str:
    """The second step."""
    return _SECOND.format(
        action=f"/login/code?next={quote(following, safe='/')}",
        heading=t("Second step"),
        hint=t("Type the six digits your authenticator app shows now, or one of your recovery codes."),
        code_label=t("Code"),
        submit=t("Go on"),
        again_href=f"/login?next={quote(following, safe='/')}",
        again=t("Begin again with another name"),
    )


def page(t: Texts, theme: Theme, content: str, *, alert: str = "", notice: str = "") -> str:
    """The page around a form; `alert` says what went wrong, `notice` is HTML."""
    offered = other_language(t.language)
    return _PAGE.format(
        language=t.language,
        theme=theme,
        title=f"{t('Log in')} · {t('Bongsu')}",
        mark=beacons.MARK,
        product=t("Bongsu"),
        tagline=t("Security Control Center"),
        alert=f'<p class="login-error" role="alert">{escape(alert)}</p>' if alert else "",
        told=f'<p class="login-told" role="status">{notice}</p>' if notice else "",
        content=content,
        notice=t("For authorised users only. Every access is recorded."),
        other=offered,
        other_href=f"/preferences?language={offered}&amp;next={quote('/login', safe='/')}",
        other_label=NAMES[offered],
    )


_FIRST: Final = """<form method="post" action="{action}">
<label for="name">{name_label}</label>
<input id="name" name="name" value="{name}" autocomplete="username" autocapitalize="none" spellcheck="false" required{name_focus}>
<label for="password">{password_label}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{password_focus}>
<button type="submit">{submit}</button>
</form>
{provider}"""

_SECOND: Final = """<form method="post" action="{action}">
<h1 class="login-step">{heading}</h1>
<p class="login-hint" id="code-hint">{hint}</p>
<label for="code">{code_label}</label>
<input id="code" name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="64"
 aria-describedby="code-hint" required autofocus>
<button type="submit">{submit}</button>
</form>
<p class="login-again"><a href="{again_href}">{again}</a></p>"""

_PAGE: Final = """<!doctype html>
<html lang="{language}" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="icon" href="/static/beacon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/bongsu.css">
<link rel="stylesheet" href="/static/login.css">
</head>
<body class="login">
<main class="login-card">
<div class="login-brand"><span class="mark">{mark}</span><span><b>{product}</b><small>{tagline}</small></span></div>
{alert}{told}
{content}
<p class="login-notice">{notice}</p>
</main>
<a class="login-language" href="{other_href}" lang="{other}" hreflang="{other}">{other_label}</a>
</body>
</html>
"""
