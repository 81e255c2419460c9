"""Silences: what opens no incident for a while, making one and ending one. The list of all, and a panel of those of one rule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import empty, panel, text, time_html
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor
from core.clock import KST
from core.permissions import Action

_MATCHED: Final = ("src_ip", "dst_ip", "dst_port", "user", "device", "url", "host")
_SPANS: Final = (1, 8, 24, 24 * 7, 24 * 30)  # hours
Refresh = Callable[[], Awaitable[None]]


async def show(visitor: Visitor) -> None:
    """Build the view of every silence that holds. Refused when the visitor may not."""
    t = visitor.t
    with panel(t("Silences"), t("what they hold is stored and counted, and opens no incident")) as head:
        listing = SilenceList(visitor, "")
        with head:
            ask_button(visitor, "", listing.refresh)
    await listing.refresh()


def ask_button(visitor: Visitor, rule_id: str, refresh: Refresh, suggested: dict[str, Any] | None = None) -> None:
    """The button that opens the dialog for a new silence, for who may make one."""
    if visitor.principal.may(Action.RULES_WRITE):
        dialog = _dialog(visitor, rule_id, refresh, suggested)
        ui.button(visitor.t("Silence"), icon="notifications_paused", on_click=dialog.open, color=None).props("flat no-caps dense").classes(
            "at-end"
        )


class SilenceList:
    """The silences of a rule ('' every one) that hold."""

    def __init__(self, visitor: Visitor, rule_id: str) -> None:
        self._visitor = visitor
        self._rule_id = rule_id
        self._shown: list[dict[str, Any]] | None = None
        self._place = ui.element("div").classes("silences")

    async def refresh(self) -> None:
        """Show them as they are now. Refused when the visitor may not."""
        found = (await self._visitor.api.get("/v1/silences", rule_id=self._rule_id, limit=200)).body["items"]
        if found == self._shown:
            return
        self._shown = found
        self._place.clear()
        t = self._visitor.t
        with self._place:
            if not found:
                empty(t("Nothing is silenced."), t("A silence keeps what is known to be harmless from opening incidents."))
            for one in found:
                self._row(one)

    def _row(self, one: dict[str, Any]) -> None:
        visitor, t = self._visitor, self._visitor.t
        matched = ", ".join(f"{column} = {value}" for column, value in one["match"].items())
        where = visitor.agency_name(one["agency"]) if one["agency"] else t("every agency")
        rule = "" if self._rule_id else _rule_link(visitor, one["rule_id"])
        held = t.n("{count} detection held back", "{count} detections held back", one["detections"])
        with ui.element("div").classes("silence"):
            ui.html(
                f"<div>{rule}<b>{escape(where)}</b> <code>{escape(matched or t('everything'))}</code></div>"
                f"<p>{escape(one['reason'])}</p>"
                f'<p class="soft">{escape(t("by {name}", name=one["owner"]))} · {escape(t("until"))} {time_html(one["expires_at"])} · '
                f"{escape(held)}</p>",
                sanitize=False,
            )
            if visitor.principal.may(Action.RULES_WRITE):
                ui.button(t("End"), on_click=lambda: self._end(one), color=None).props("flat no-caps dense").classes("at-end")

    async def _end(self, one: dict[str, Any]) -> None:
        with telling(self._visitor):
            await self._visitor.api.delete(f"/v1/silences/{one['id']}", etag=f'"{one["version"]}"')
            done(self._visitor.t("The silence ended."))
            await self.refresh()


def _rule_link(visitor: Visitor, rule_id: str) -> str:
    if not rule_id:
        return f"<b>{escape(visitor.t('every rule'))}</b> · "
    return f'<a href="/rules/{escape(rule_id, quote=True)}">{escape(rule_id)}</a> · '


def _dialog(visitor: Visitor, rule_id: str, refresh: Refresh, suggested: dict[str, Any] | None) -> ui.dialog:
    t, told = visitor.t, suggested or {}
    agencies = {"": t("every agency")} | {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies}
    known = next(iter(told.get("match", {}).items()), ("src_ip", ""))
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        text("h2", t("Silence detections"))
        if told:
            text("p", t("Filled in with what was most often taken for a false alarm."), "soft")
        agency = ui.select(agencies, label=t("Agency"), value=told.get("agency", "") if told.get("agency", "") in agencies else "").props(
            "outlined dense"
        )
        with ui.element("div").classes("pair"):
            column = ui.select(sorted({*_MATCHED, known[0]}), label=t("Field"), value=known[0]).props("outlined dense")
            value = ui.input(t("Value (an address, a network, a text)"), value=known[1]).props("outlined dense").classes("wide")
        spans = {hours: _span(visitor, hours) for hours in _SPANS}
        span = ui.select(spans, label=t("For how long"), value=24).props("outlined dense")
        reason = ui.textarea(t("Reason"), value=told.get("reason", "")).props("outlined dense autogrow")

        async def make() -> None:
            at: datetime = visitor.centre.clock.now() + timedelta(hours=span.value)
            match = {column.value: value.value.strip()} if value.value.strip() else {}
            body = {"rule_id": rule_id, "agency": agency.value, "match": match, "reason": reason.value, "expires_at": at.isoformat()}
            with telling(visitor):
                await visitor.api.post("/v1/silences", body)
                dialog.close()
                done(t("Silenced until {time}.", time=at.astimezone(KST).strftime("%m-%d %H:%M")))
                await refresh()

        with ui.element("div").classes("actions"):
            ui.button(t("Cancel"), on_click=dialog.close, color=None).props("flat no-caps")
            ui.button(t("Silence"), on_click=make, color=None).props("unelevated no-caps").classes("main-button")
    return dialog


def _span(visitor: Visitor, hours: int) -> str:
    t = visitor.t
    days = hours // 24
    return t.n("{count} day", "{count} days", days) if days else t.n("{count} hour", "{count} hours", hours)
