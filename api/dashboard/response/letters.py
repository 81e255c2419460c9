"""The letters of a personal-information case: written from what is known, never sent by the centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import panel, text, time_html
from api.dashboard.steps.names import value_name
from api.dashboard.telling import telling


def letters(page: Any, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """The versions of each letter, with what they could not tell, and a way to read them for who may."""
    t = page.visitor.t
    if not found:
        return
    with panel(page.showing.name(name)), ui.element("ul").classes("checklist"):
        for one in found:
            with ui.element("li"):
                missing = ", ".join(value_name(t, "missing", item) for item in one["missing"])
                lacks = f'<div class="late">{escape(t("It does not tell: {items}", items=missing))}</div>' if missing else ""
                title = f"{value_name(t, 'kind', one['kind'])} {one['version']}"
                ui.html(
                    f'<div><b>{escape(title)}</b><div class="soft">{time_html(one["made_at"])} · {escape(one["pack"])}</div>{lacks}</div>',
                    sanitize=False,
                ).classes("measure")
                if page.record["view"] == "full":
                    read = ui.button(t("Read"), on_click=partial(_read, page, one), color=None).props("outline dense no-caps")
                    read.props["aria-label"] = f"{t('Read')}: {title}"


async def _read(page: Any, letter: Mapping[str, Any]) -> None:
    t = page.visitor.t
    with telling(page.visitor):
        found = (await page.visitor.api.get(f"{page.path}/letters/{letter['kind']}/{letter['version']}")).body
        title = f"{value_name(t, 'kind', letter['kind'])} {letter['version']}"
        with ui.context.client.content, ui.dialog(value=True) as dialog, ui.element("div").classes("sheet"):
            dialog.props["aria-label"] = title
            text("h2", title)
            first, second = ("text_en", "text_ko") if t.language == "en" else ("text_ko", "text_en")
            text("pre", found[first], "letter").props("tabindex=0")
            with ui.element("details"):
                ui.html(escape(page.showing.name(second)), tag="summary", sanitize=False)
                text("pre", found[second], "letter").props("tabindex=0")
            with ui.element("div").classes("sheet-end"):
                ui.button(t("Close the letter"), on_click=dialog.close, color=None).props("flat no-caps")
        dialog.on("hide", dialog.delete)
