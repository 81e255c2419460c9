"""The audit page: the trail with filters and pages, and for those who may, the proof of it and of the intake ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.audit.rows import row_html
from api.dashboard.audit.verifying import Verifying
from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, text
from api.dashboard.frame import frame
from api.dashboard.telling import telling
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.clock import KST

AT_A_TIME: Final = 50
_FIELD: Final = "dense outlined clearable maxlength=100"


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/audit")
    async def audit(request: Request) -> None:
        visitor = await Visitor.of(request)
        page = AuditPage(visitor)
        try:
            first = await page.read()
        except Refused:
            t = visitor.t
            with frame(visitor, t("Audit")), ui.element("section").classes("panel"):
                empty(t("This role does not read the audit trail."), t("Auditors, the SOC lead and privacy officers do."))
            return
        page.build(first)
        with telling(visitor):
            await page.verifying.refresh()


class AuditPage:
    """The page of one visitor. `build` comes before all else but the first `read`."""

    verifying: Verifying

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._wanted: dict[str, str] = {}
        self._cursors = [""]

    async def read(self) -> Mapping[str, Any]:
        """The rows of the present page. Raises Refused."""
        found: Mapping[str, Any] = (
            await self._visitor.api.get("/v1/audit", **self._wanted, cursor=self._cursors[-1], limit=AT_A_TIME)
        ).body
        return found

    def build(self, first: Mapping[str, Any]) -> None:
        """Make the page, showing `first`."""
        t = self._visitor.t
        with frame(self._visitor, t("Audit")):
            with ui.element("div").classes("page-head"):
                text("h1", t("Audit"))
                text("span", t("Who did what to what. Rows are only ever added, each chained to the one before."), "soft")
            self.verifying = Verifying(self._visitor, self._newest)
            with panel(t("The trail")):
                self._form()
                self._table()
                with ui.element("div").classes("pager"):
                    self._back = self._button(t("Newer"), self._newer)
                    self._place = text("span", "", "soft").props("role=status")
                    self._on = self._button(t("Older"), self._older)
        self._show(first)

    def _form(self) -> None:
        t = self._visitor.t
        with ui.element("form").classes("audit-filters").on("submit.prevent", self._filter):
            self._actor = ui.input(t("Who")).props('dense outlined clearable hint="user:kim" maxlength=200')
            self._action = ui.input(t("Action")).props('dense outlined clearable hint="request.issue" maxlength=100')
            self._object = ui.input(t("What it was done to")).props(
                'dense outlined clearable hint="incident/INC-2026-000001" maxlength=200'
            )
            self._since = ui.input(t("From (KST)")).props("dense outlined clearable type=datetime-local stack-label")
            self._until = ui.input(t("Until (KST)")).props("dense outlined clearable type=datetime-local stack-label")
            with ui.element("div").classes("tools"):
                ui.html(t("Show"), tag="button", sanitize=False).classes("tool primary").props("type=submit")

    def _table(self) -> None:
        t = self._visitor.t
        self._some = ui.element("div").classes("scroll").props(f'tabindex=0 role=region aria-label="{t("The trail")}"')
        with self._some, ui.element("table").classes("list trail"):
            with ui.element("thead"), ui.element("tr"):
                for name in (t("Row"), t("Time"), t("Who"), t("Action"), t("What it was done to"), t("Details")):
                    text("th", name).props("scope=col")
            self._body = ui.html("", tag="tbody", sanitize=False)
        self._none = ui.element("div")
        with self._none:
            empty(t("No row is like that."), t("Widen the filters, or take them away."))

    def _button(self, label: str, then: Any) -> ui.html:
        return ui.html(label, tag="button", sanitize=False).classes("tool").props("type=button").on("click", then)

    def _show(self, found: Mapping[str, Any]) -> None:
        rows, t = found["items"], self._visitor.t
        self._following = found["next_cursor"]
        self._body.set_content("".join(f'<tr data-row="{row["seq"]}">{row_html(self._visitor, row)}</tr>' for row in rows))
        self._some.set_visibility(bool(rows))
        self._none.set_visibility(not rows)
        told = t("rows {last} to {first}", last=number(rows[-1]["seq"]), first=number(rows[0]["seq"])) if rows else ""
        self._place.set_content(told)
        for button, may in ((self._back, len(self._cursors) > 1), (self._on, bool(self._following))):
            button.props(remove="disabled") if may else button.props("disabled")

    async def _filter(self) -> None:
        named = {"actor": self._actor, "action": self._action, "object": self._object}
        self._wanted = {name: (field.value or "").strip() for name, field in named.items()}
        self._wanted |= {name: _instant(field.value) for name, field in (("since", self._since), ("until", self._until))}
        await self._newest()

    async def _newest(self) -> None:
        self._cursors = [""]
        await self._again()

    async def _older(self) -> None:
        if self._following:
            self._cursors.append(self._following)
            await self._again()

    async def _newer(self) -> None:
        if len(self._cursors) > 1:
            self._cursors.pop()
            await self._again()

    async def _again(self) -> None:
        with telling(self._visitor):
            self._show(await self.read())
            await self.verifying.refresh()


def _instant(local: str | None) -> str:
    """What a field for a time of Seoul holds, as the API takes it; '' when it holds none."""
    try:
        return datetime.fromisoformat(local).replace(tzinfo=KST).isoformat() if local else ""
    except ValueError:
        return ""
