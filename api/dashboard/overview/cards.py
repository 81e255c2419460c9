"""The figures at the top of the page."""

from __future__ import annotations

from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.texts import number, share
from api.dashboard.visitor import Visitor
from api.overview import Overview
from core.permissions import Action

_GRAVE: Final = ("critical", "high")


class Card:
    """One figure with its name and a note."""

    def __init__(self, name: str) -> None:
        with ui.element("div").classes("card") as self._box:
            text("span", name, "name")
            self._value = text("span", "–", "value")
            self._note = text("span", "", "note")

    def show(self, value: str, note: str, mood: str = "") -> None:
        """Show a figure; `mood` is '', `warn` (something is wrong) or `ember` (there is work)."""
        self._value.set_content(escape(value))
        self._note.set_content(escape(note))
        self._box.classes(replace=f"card {mood}")


class Cards:
    """What comes in, what is found, what waits."""

    def __init__(self, visitor: Visitor) -> None:
        self._t = t = visitor.t
        with ui.element("section").classes("cards").props(f'aria-label="{t("Overview")}"'):
            self._rate = Card(t("Events per second"))
            self._received = Card(t("Lines received today"))
            self._quarantined = Card(t("Quarantined today"))
            self._lag = Card(t("Waiting"))
            self._detections = Card(t("Detections today"))
            self._open = Card(t("Open incidents")) if visitor.principal.may(Action.INCIDENTS_READ) else None

    def show(self, overview: Overview) -> None:
        """Show the figures of now."""
        t = self._t
        self._rate.show(number(overview.events_per_second), t("mean of the last minute"))
        self._received.show(number(overview.received_today), t("since midnight KST"))
        quarantined = share(overview.quarantined_today, overview.received_today)
        self._quarantined.show(number(overview.quarantined_today), t("{share} of what came", share=quarantined))
        failing = next((stage.name for stage in overview.stages if stage.problem), "")
        note = t("{stage} is failing", stage=failing) if failing else t("messages, all stages")
        self._lag.show(number(overview.lag), note, "warn" if failing else "")
        self._detections.show(number(overview.detections_today), t("since midnight KST"))
        if self._open is not None:
            grave = sum(overview.open_by_severity.get(severity, 0) for severity in _GRAVE)
            self._open.show(
                number(overview.open_incidents),
                t("{grave} critical or high", grave=number(grave)),
                "ember" if overview.open_incidents else "",
            )
