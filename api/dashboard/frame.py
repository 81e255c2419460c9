"""What every page of the dashboard has around it: the bar with mark, clock, language, theme and log-out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Final
from urllib.parse import quote

from nicegui import ui

from api.dashboard.beacons import MARK
from api.dashboard.preferences import other_language
from api.dashboard.visitor import Visitor
from core.permissions import Action

_THEMES: Final = {"light": False, "dark": True, "auto": None}
_HALF_MOON: Final = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">'
    '<circle cx="12" cy="12" r="9"/><path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor" stroke="none"/></svg>'
)


@contextmanager
def frame(visitor: Visitor, title: str) -> Iterator[None]:
    """The page around its content, which is built inside the block."""
    t = visitor.t
    ui.page_title(f"{title} · {t('product')}")
    ui.dark_mode(_THEMES[visitor.theme])
    ui.add_head_html(
        f'<link rel="stylesheet" href="/static/bongsu.css"><script src="/static/bongsu.js" defer></script>'
        f'<script>document.documentElement.lang = "{t.language}"</script>'
    )
    ui.html(_bar(visitor), tag="header", sanitize=False).classes("bar")
    with ui.element("main").classes("page").props("id=content"):
        yield


def text(tag: str, content: str, classes: str = "") -> ui.html:
    """An element that shows `content` as it is, whatever signs are in it; `.set_content(escape(...))` changes it."""
    return ui.html(escape(content), tag=tag, sanitize=False).classes(classes)


def empty(title: str, hint: str) -> None:
    """What stands where nothing is to be shown yet: what that means, and what to do."""
    with ui.element("div").classes("empty"):
        ui.html(MARK, tag="span", sanitize=False).classes("mark")
        text("b", title)
        text("span", hint)


def severity_html(visitor: Visitor, severity: str, fires: str) -> str:
    """A severity as its fires and its word."""
    return f'<span class="severity {escape(severity, quote=True)}">{fires}{escape(visitor.t.word("severity", severity))}</span>'


def _pages(visitor: Visitor) -> str:
    """Links to the pages beside the first that the visitor may open."""
    if not visitor.principal.may(Action.DUTIES_READ):
        return ""
    here = ' aria-current="page"' if visitor.path == "/compliance" else ""
    return f'<nav><a href="/compliance"{here}>{visitor.t("compliance.title")}</a></nav>'


def _bar(visitor: Visitor) -> str:
    t = visitor.t
    offered = other_language(t.language)
    preference = f"/preferences?language={offered}&amp;next={quote(visitor.path, safe='/')}"
    caller = visitor.principal
    roles = ", ".join(t.word("user", role) for role in caller.roles)
    where = f"{visitor.agency_name(caller.agency)} · {roles}" if caller.agency else roles
    return (
        f'<a class="skip" href="#content">{t("skip")}</a>'
        f'<a class="brand" href="/"><span class="mark">{MARK}</span><b>{t("product")}</b><small>{t("tagline")}</small></a>'
        f'{_pages(visitor)}<span class="space"></span><time class="clock" data-clock></time>'
        f'<a class="tool" href="{preference}" lang="{offered}" hreflang="{offered}">{t("language.other")}</a>'
        f'<button class="tool" type="button" data-theme-switch aria-label="{t("theme.switch")}" title="{t("theme.switch")}">'
        f"{_HALF_MOON}</button>"
        f'<span class="who">{escape(caller.name)}<small>{escape(where)}</small></span>'
        f'<form method="post" action="/logout"><button class="tool" type="submit">{t("logout")}</button></form>'
    )
