"""The settings in force, to be read and searched: value, where it comes from, what it means."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fastapi import Request
from nicegui import ui

from api.dashboard.admin.tabs import READY_SECONDS, administration
from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, tag_html
from api.dashboard.forms import field
from api.dashboard.telling import why
from api.dashboard.visitor import Visitor
from core.permissions import Action


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/admin/settings", response_timeout=READY_SECONDS)
    async def settings(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        with administration(visitor, Action.SYSTEM_READ) as allowed:
            if not allowed:
                return
            try:
                found = (await visitor.api.get("/v1/system/settings")).body["items"]
            except Refused as refused:
                empty(t("This cannot be shown right now."), why(visitor, refused))
                return
            with panel(t("Settings in force"), t("Changed in the settings file or the environment, and read at the start.")):
                with ui.element("div").classes("slip"):
                    wanted = field(t("Search"))
                    only = ui.checkbox(t("Only what was set here"))
                rows = ui.html(_table(visitor, found, "", only=False), sanitize=False).classes("scroll").props("tabindex=0")

            def draw() -> None:
                rows.set_content(_table(visitor, found, wanted.value or "", only=bool(only.value)))

            wanted.on_value_change(draw)
            only.on_value_change(draw)


def _table(visitor: Visitor, settings: list[dict[str, Any]], wanted: str, *, only: bool) -> str:
    t, word = visitor.t, wanted.casefold()
    shown = [
        one
        for one in settings
        if word in f"{one['key']} {one['meaning']} {t.word('setting', one['key'])}".casefold() and not (only and one["source"] == "default")
    ]
    if not shown:
        return f'<p class="soft slip">{escape(t("No setting is like that."))}</p>'
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in (t("Setting"), t("Value"), t("Set by"), t("Meaning")))
    return (
        f'<table class="list settings"><thead><tr>{head}</tr></thead><tbody>{"".join(_row(visitor, one) for one in shown)}</tbody></table>'
    )


def _row(visitor: Visitor, one: dict[str, Any]) -> str:
    value = one["value"]
    written = "–" if value in (None, "", [], {}) else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    t, key = visitor.t, one["key"]
    source = escape(t.word("setting_source", one["source"]))
    marked = source if one["source"] == "default" else tag_html(t.word("setting_source", one["source"]))
    return (
        f'<tr data-setting="{escape(key, quote=True)}"><th scope="row" class="mono">{escape(key)}</th>'
        f'<td class="value">{escape(written)}</td><td>{marked}</td><td class="soft">{escape(t.word("setting", key))}</td></tr>'
    )
