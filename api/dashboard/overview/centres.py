"""How the links to other centres stand."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor

_ICONS: Final = {"up": "link", "late": "schedule", "down": "link_off", "off": "power_settings_new", "": "radio_button_unchecked"}
_AS: Final = {"up": "live", "late": "late", "down": "silent", "off": "never", "": "never"}


class Links:
    """A panel that `show` brings up to date; it is not there while there are no linked centres."""

    def __init__(self, visitor: Visitor) -> None:
        self._t = visitor.t
        with ui.element("section").classes("panel links") as self._box, ui.element("header"):
            text("h2", visitor.t("Linked centres"))
            self._sum = ui.html("", sanitize=False).classes("healths").props("role=status")
        self._box.set_visibility(False)

    def show(self, centres: Mapping[str, int]) -> None:
        """Show how many links stand how."""
        self._box.set_visibility(any(centres.values()))
        self._sum.set_content("".join(self._count(link, count) for link in _ICONS if (count := centres.get(link, 0))))

    def _count(self, link: str, count: int) -> str:
        icon = f'<i class="material-icons" aria-hidden="true">{_ICONS[link]}</i>'
        return f'<span class="health is-{_AS[link]}">{icon}{escape(self._t.word("link", link))} <b>{number(count)}</b></span>'
