"""Files kept with an annual duty: to take away, and to bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import panel, time_html
from api.dashboard.file_button import file_button
from api.dashboard.response.progress import quiet
from api.dashboard.telling import done
from api.dashboard.texts import number
from core.permissions import Action


def files(page: Any, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """The files of a duty; whoever answers for it may add to them until it ends."""
    visitor = page.visitor
    t = visitor.t
    with panel(page.showing.name(name)):
        if not found:
            quiet(t("No files yet."))
        rows = "".join(
            f'<li><div class="measure"><div><a href="{page.path}/files/{one["id"]}" download>{escape(one["name"])}</a>'
            f'<div class="soft">{number(one["size"])} B · {time_html(one["at"])} · '
            f"{escape(one['author'].partition(':')[2])}</div></div></div></li>"
            for one in found
        )
        ui.html(rows, tag="ul", sanitize=False).classes("checklist")
        may = visitor.principal.may(Action.DUTIES_ANSWER) or visitor.principal.may(Action.DUTIES_WRITE)
        if may and page.record["state"] not in page.kind.machine.ended:

            async def kept() -> None:
                done(t("The file is kept."))
                await page.refresh()

            file_button(visitor, t("Add a file"), f"{page.path}/files", visitor.centre.settings.respond.duties.file_mb, kept)
