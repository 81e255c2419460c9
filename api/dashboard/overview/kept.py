"""Elements that stay while what they show changes, so that focus and scroll position survive every update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from nicegui import ui


@dataclass(frozen=True, slots=True)
class Shown:
    """What an element shows: its HTML, its classes, where it leads, and how it is called where its content does not say it."""

    html: str
    classes: str
    href: str
    label: str = ""


class KeptLinks:
    """The children of `parent` (a list): one link for each key, in the order they are shown in."""

    def __init__(self, parent: ui.element) -> None:
        self._parent = parent
        self._links: dict[str, tuple[ui.element, ui.html, Shown]] = {}
        self._order: list[str] = []

    def show(self, wanted: Mapping[str, Shown]) -> None:
        """Show exactly `wanted`, changing only what differs."""
        for gone in self._links.keys() - wanted.keys():
            self._links.pop(gone)[0].delete()
            self._order.remove(gone)
        for place, (key, shown) in enumerate(wanted.items()):
            known = self._links.get(key)
            if known is None:
                self._links[key] = self._made(shown)
                self._order.append(key)
            elif known[2] != shown:
                known[1].set_content(shown.html)
                known[1].classes(replace=shown.classes)
                known[1].props(_props(shown))
                self._links[key] = (known[0], known[1], shown)
            if self._order[place] != key:
                self._order.remove(key)
                self._order.insert(place, key)
                self._links[key][0].move(target_index=place)

    def _made(self, shown: Shown) -> tuple[ui.element, ui.html, Shown]:
        with self._parent, ui.element("li") as item:
            link = ui.html(shown.html, tag="a", sanitize=False).classes(shown.classes).props(_props(shown))
        return item, link, shown


def _props(shown: Shown) -> str:
    label = f' aria-label="{escape(shown.label, quote=True)}"' if shown.label else ""
    return f'href="{escape(shown.href, quote=True)}"{label}'
