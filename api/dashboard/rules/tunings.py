"""What is changed about one rule at agencies: the list, the dialog that changes it, and undoing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.client import NOTHING
from api.dashboard.elements import empty, panel, text, time_html
from api.dashboard.rules import effects
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor
from core.permissions import Action

_ALL: Final = "_all"
_LEVELS: Final = ("informational", "low", "medium", "high", "critical")


class Tunings:
    """The panel of one rule; `levels` are the names of warnings' levels, `refresh` brings the whole page up to date after a change."""

    def __init__(self, visitor: Visitor, rule: dict[str, Any], levels: effects.Names, refresh: Callable[[], Awaitable[None]]) -> None:
        self._visitor, self._levels = visitor, levels
        self._rule = rule
        self._refresh = refresh
        t = visitor.t
        with panel(t("Tunings"), t("how the rule differs at an agency")) as head:
            self._place = ui.element("div")
            if visitor.principal.may(Action.RULES_WRITE):
                dialog = self._dialog()
                with head:
                    ui.button(t("Tune"), icon="tune", on_click=dialog.open, color=None).props("flat no-caps dense").classes("at-end")
        self.show(rule)

    def show(self, rule: dict[str, Any]) -> None:
        """Show what is changed about `rule` now."""
        self._rule = rule
        t = self._visitor.t
        self._place.clear()
        with self._place:
            if not rule["tunings"] and not rule["effects"]:
                empty(t("The rule is everywhere as it is written."), t("Tune it where it is too loud, or switch it off there."))
            for one in rule["tunings"]:
                self._row(one)
            for one in rule["effects"]:
                text("p", effects.told(self._visitor, one, self._levels), "effect")

    def _row(self, one: dict[str, Any]) -> None:
        visitor, t = self._visitor, self._visitor.t
        where = visitor.agency_name(one["agency"]) if one["agency"] else t("every agency")
        told = " · ".join(self._told(one)) or t("as it is written")
        with ui.element("div").classes("silence"):
            ui.html(
                f"<div><b>{escape(where)}</b> {escape(told)}</div><p>{escape(one['reason'])}</p>"
                f'<p class="soft">{escape(t("by {name}", name=one["owner"]))} · {time_html(one["at"])}</p>',
                sanitize=False,
            )
            if visitor.principal.may(Action.RULES_WRITE):
                ui.button(t("Undo"), on_click=lambda: self._undo(one), color=None).props("flat no-caps dense").classes("at-end")

    def _told(self, one: dict[str, Any]) -> list[str]:
        t = self._visitor.t
        told = [] if one["enabled"] else [t("switched off")]
        if one["level"]:
            told.append(t("level {level}", level=t.word("severity", one["level"])))
        if one["condition"]:
            told.append(t("threshold {condition}", condition=", ".join(f"{name} {value:g}" for name, value in one["condition"].items())))
        if one["suppress"]:
            told.append(t("once in {span} by {columns}", span=one["suppress"]["for"], columns=", ".join(one["suppress"]["by"])))
        return told

    async def _undo(self, one: dict[str, Any]) -> None:
        with telling(self._visitor):
            path = f"/v1/rules/{self._rule['rule_id']}/tunings/{one['agency'] or _ALL}"
            await self._visitor.api.delete(path, etag=f'"{one["version"]}"')
            done(self._visitor.t("The rule is there as it is written again."))
            await self._refresh()

    def _etag(self, agency: str) -> str:
        """What is changed there as it was seen."""
        seen = [one["version"] for one in self._rule["tunings"] if (one["agency"] or _ALL) == agency]
        return f'"{seen[0]}"' if seen else NOTHING

    def _dialog(self) -> ui.dialog:
        visitor, t = self._visitor, self._visitor.t
        agencies = {_ALL: t("every agency")} | {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies}
        levels = {"": t("as it is written")} | {one: t.word("severity", one) for one in _LEVELS}
        with ui.dialog() as dialog, ui.card().classes("dialog"):
            text("h2", t("Tune the rule"))
            agency = ui.select(agencies, label=t("Agency"), value=_ALL).props("outlined dense")
            enabled = ui.switch(t("It runs there"), value=True)
            level = ui.select(levels, label=t("Level"), value="").props("outlined dense")
            threshold = ui.number(t("Threshold (at least)"), min=0).props("outlined dense")
            threshold.set_visibility(self._rule["kind"] == "correlation")
            by = ui.input(t("Once by these fields (such as src_ip, dst_port)")).props("outlined dense")
            span = ui.input(t("within (such as 1h)")).props("outlined dense")
            reason = ui.textarea(t("Reason")).props("outlined dense autogrow")

            async def put() -> None:
                columns = [name.strip() for name in by.value.split(",") if name.strip()]
                body = {
                    "enabled": enabled.value,
                    "level": level.value,
                    "condition": {"gte": threshold.value} if threshold.value is not None else None,
                    "suppress": {"by": columns, "for": span.value.strip()} if columns or span.value.strip() else None,
                    "reason": reason.value,
                }
                with telling(visitor):
                    path = f"/v1/rules/{self._rule['rule_id']}/tunings/{agency.value}"
                    await visitor.api.put(path, body, etag=self._etag(agency.value))
                    dialog.close()
                    done(t("The rule is tuned. It holds in seconds."))
                    await self._refresh()

            with ui.element("div").classes("actions"):
                ui.button(t("Cancel"), on_click=dialog.close, color=None).props("flat no-caps")
                ui.button(t("Tune"), on_click=put, color=None).props("unelevated no-caps").classes("main-button")
        return dialog
