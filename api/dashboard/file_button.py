"""The button that brings a file of the visitor's: the browser sends it to the API (`static/files.js`), the page hears what was answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.client import refused_of
from api.dashboard.telling import telling
from api.dashboard.visitor import Visitor


def file_button(visitor: Visitor, label: str, path: str, most: int, kept: Callable[[], Awaitable[None]]) -> None:
    """A button called `label` that posts a file to `path` and calls `kept` once the API has it.

    A file of more than `most` MiB is not sent; that, and what the API refuses, is told.
    """
    t = visitor.t

    async def heard(event: Any) -> None:
        answer = event.args["detail"]
        if answer["status"] == 0:
            ui.notify(t("The file could not be sent. Try again in a moment."), type="negative", position="bottom")
        elif answer["most"]:
            ui.notify(t("A file has at most {size} MiB here.", size=most), type="negative", position="bottom")
        else:
            with telling(visitor):
                if answer["status"] >= 400:
                    raise refused_of(answer["status"], answer["problem"])
                await kept()

    given = f'data-upload="{escape(path, quote=True)}" data-csrf="{escape(visitor.api.csrf, quote=True)}" data-most="{most << 20}"'
    ui.html(
        f'<label class="tool pick-file"><input type="file" {given}>'
        f'<i class="material-icons" aria-hidden="true">attach_file</i>{escape(label)}</label>',
        sanitize=False,
    ).on("sent", heard, args=["detail"])
