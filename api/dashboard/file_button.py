"""The button that brings a file of the visitor's: the browser sends it to the API (`static/files.js`), the page hears what was answered.

What was answered is heard by the page as a whole, not by the button: while a file is on its way, the button may be built anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Final
from weakref import WeakKeyDictionary

from nicegui import Client, ui

from api.dashboard.client import refused_of
from api.dashboard.telling import telling
from api.dashboard.visitor import Visitor


@dataclass(frozen=True, slots=True)
class _Place:
    """Where files are kept: the most MiB one may have, and what follows when one was."""

    most: int
    kept: Callable[[], Awaitable[None]]


_PLACES: Final[WeakKeyDictionary[Client, dict[str, _Place]]] = WeakKeyDictionary()
"""Of each open page, by the path of the API."""


def file_button(visitor: Visitor, label: str, path: str, most: int, kept: Callable[[], Awaitable[None]]) -> None:
    """A button called `label` that posts a file to `path` and calls `kept` once the API has it.

    A file of more than `most` MiB is not sent; that, and what the API refuses, is told.
    """
    client = ui.context.client
    if client not in _PLACES:
        _PLACES[client] = {}
        ui.on("file", partial(_heard, visitor, _PLACES[client]))
    _PLACES[client][path] = _Place(most, kept)
    given = f'data-upload="{escape(path, quote=True)}" data-csrf="{escape(visitor.api.csrf, quote=True)}" data-most="{most << 20}"'
    ui.html(
        f'<label class="tool pick-file"><input type="file" {given}>'
        f'<i class="material-icons" aria-hidden="true">attach_file</i>{escape(label)}</label>',
        sanitize=False,
    )


async def _heard(visitor: Visitor, places: dict[str, _Place], event: Any) -> None:
    t, answer = visitor.t, event.args
    place = places.get(answer["upload"])
    if place is None:
        return
    if answer["status"] == 0:
        ui.notify(t("The file could not be sent. Try again in a moment."), type="negative", position="bottom")
    elif answer["larger"]:
        ui.notify(t("A file has at most {size} MiB here.", size=place.most), type="negative", position="bottom")
    else:
        with telling(visitor):
            if answer["status"] >= 400:
                raise refused_of(answer["status"], answer["problem"])
            await place.kept()
