"""The duty log of an emergency team: orders and notes, which only grow."""

from __future__ import annotations

import asyncio
import uuid
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import panel, tag_html, time_html
from api.dashboard.refusals import refusal
from api.dashboard.steps.names import value_name
from api.dashboard.telling import done, telling
from respond.teams.log import ORDER

_MOST = 1000


def duty_log(page: Any, _name: str, _none: None) -> None:
    """The panel of the log, read when it is shown, with a line to write the next note."""
    visitor, path = page.visitor, f"{page.path}/log"
    t = visitor.t
    if page.record["formed_at"] is None:
        return
    with panel(t("Duty log")):
        box = ui.html("", tag="ol", sanitize=False).classes("happened")
        in_turn = asyncio.Lock()  # what was asked first is not shown last

        async def read() -> None:
            async with in_turn:
                try:
                    found = (await visitor.api.get(path, limit=_MOST)).body["items"]
                except Refused as refused:
                    box.set_content(f"<li>{escape(refusal(t, refused.detail))}</li>")
                    return
            box.set_content(
                "".join(
                    f"<li><div>{tag_html(value_name(t, 'kind', one['kind'])) if one['kind'] == ORDER else ''} {escape(one['text'])}</div>"
                    f'<div class="soft">{time_html(one["at"])} · {escape(one["actor"].partition(":")[2])}</div></li>'
                    for one in found
                )
                or f"<li>{escape(t('Nothing is written yet.'))}</li>"
            )

        async def write() -> None:
            with telling(visitor):
                if not (note.value or "").strip():
                    return
                await visitor.api.put(f"{path}/{uuid.uuid4().hex}", {"text": note.value.strip()})
                page.unsent = note.value = ""
                done(t("Written down."))
                await read()

        if page.record["state"] != "reviewed":
            with ui.element("div").classes("panel-body write"):
                note = ui.textarea(
                    t("What was done"), value=page.unsent, on_change=lambda typed: setattr(page, "unsent", typed.value or "")
                )
                note.props("outlined dense autogrow maxlength=4000")
                ui.button(t("Write down"), on_click=write, color=None).props("outline no-caps")
        ui.timer(0, read, once=True)
