"""What every page of the dashboard has around it: the bar with mark, clock, language, theme and log-out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Final
from urllib.parse import quote

from nicegui import ui

from api.dashboard import pages
from api.dashboard.beacons import MARK, SPRITE
from api.dashboard.preferences import other_language
from api.dashboard.texts import NAMES, Texts
from api.dashboard.visitor import Visitor

CURRENT: Final = ' aria-current="page"'
STYLES: Final = (
    "bongsu.css",
    "overview.css",
    "audit.css",
    "rules.css",
    "hunt.css",
    "steps.css",
    "response.css",
    "incidents.css",
    "account.css",
)
SCRIPTS: Final = (
    "bongsu.js",
    "files.js",
    "rules.js",
    "hunt.js",
    "triage.js",
)
_THEMES: Final = {"light": False, "dark": True, "auto": None}
_HALF_MOON: Final = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">'
    '<circle cx="12" cy="12" r="9"/><path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor" stroke="none"/></svg>'
)


@contextmanager
def frame(visitor: Visitor, title: str) -> Iterator[None]:
    """The page around its content, which is built inside the block."""
    t = visitor.t
    ui.page_title(f"{title} · {t('Bongsu')}")
    ui.dark_mode(_THEMES[visitor.theme])
    ui.add_head_html(
        "".join(f'<link rel="stylesheet" href="/static/{file}">' for file in STYLES)
        + "".join(f'<script src="/static/{file}" defer></script>' for file in SCRIPTS)
        + f'<script>document.documentElement.lang = "{t.language}"</script>'
        + f'<meta name="connection" content="{escape(json.dumps(_connection(t)), quote=True)}">'
    )
    ui.html(_bar(visitor), tag="header", sanitize=False).classes("bar")
    ui.html(_navigation(visitor), sanitize=False).classes("rail")
    with ui.element("main").classes("page").props("id=content"):
        yield


def _connection(t: Texts) -> list[str]:
    """What NiceGUI says when the connection is lost and when a message is too large, in its order."""
    return [
        t("The connection is lost."),
        t("Trying again ..."),
        t("This is too much at once."),
        t("It is larger than the connection takes. Send less."),
    ]


def _navigation(visitor: Visitor) -> str:
    """The pages the visitor finds something at; nothing for who has but one."""
    t, now_at = visitor.t, pages.here(visitor.path)
    offered = [page for page in pages.PAGES if page.is_for(visitor.principal)]
    links = "".join(
        f'<a href="{page.path}"{CURRENT if page is now_at else ""}><i class="material-icons" aria-hidden="true">{page.icon}</i>'
        f"<span>{escape(pages.title(t, page))}</span></a>"
        for page in offered
    )
    return f'<nav class="pages" aria-label="{t("Pages")}">{links}</nav>'


def _bar(visitor: Visitor) -> str:
    t = visitor.t
    offered, switch = other_language(t.language), t("Switch light and dark")
    preference = f"/preferences?language={offered}&amp;next={quote(visitor.path, safe='/')}"
    caller = visitor.principal
    roles = ", ".join(t.word("user", role) for role in caller.roles)
    where = f"{visitor.agency_name(caller.agency)} · {roles}" if caller.agency else roles
    return (
        f'{SPRITE}<a class="skip" href="#content">{t("Skip to content")}</a>'
        f'<a class="brand" href="/"><span class="mark">{MARK}</span><b>{t("Bongsu")}</b><small>{t("Security Control Center")}</small></a>'
        f'<span class="space"></span><time class="clock" data-clock></time>'
        f'<a class="tool" href="{preference}" lang="{offered}" hreflang="{offered}">{NAMES[offered]}</a>'
        f'<button class="tool" type="button" data-theme-switch aria-label="{switch}" title="{switch}">'
        f"{_HALF_MOON}</button>"
        f'<a class="who" href="/account">{escape(caller.name)}<small>{escape(where)}</small></a>'
        f'<form method="post" action="/logout"><button class="tool" type="submit">{t("Log out")}</button></form>'
    )
