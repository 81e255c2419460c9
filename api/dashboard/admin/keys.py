"""Keys of machines: who has one, making, replacing and revoking them. A secret is shown once."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

from fastapi import Request
from nicegui import ui

from api.dashboard.admin.tabs import READY_SECONDS, administration
from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, text, time_html
from api.dashboard.forms import dialog, field, press, shown_once
from api.dashboard.telling import done, telling, why
from api.dashboard.visitor import Visitor
from core.permissions import KEY_ACTIONS, OF_CENTRES, Action


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/admin/keys", response_timeout=READY_SECONDS)
    async def keys(request: Request) -> None:
        visitor = await Visitor.of(request)
        with administration(visitor, Action.KEYS_READ) as allowed:
            if allowed:
                await _Keys(visitor).show()


class _Keys:
    """The list, drawn anew after each change."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._writes = visitor.principal.may(Action.KEYS_WRITE)
        t = visitor.t
        with panel(t("Keys of machines"), t("A key that writes logs belongs to one source of one agency.")):
            self._rows = ui.element("div").classes("scroll").props("tabindex=0")
            if self._writes:
                with ui.element("div").classes("actions"):
                    press(t("Make a key"), self._ask, kind="primary")

    async def show(self) -> None:
        """Draw the keys as they are now."""
        t = self._visitor.t
        try:
            items = (await self._visitor.api.get("/v1/keys", limit=500)).body["items"]
        except Refused as refused:
            items = None
            self._rows.clear()
            with self._rows:
                empty(t("This cannot be shown right now."), why(self._visitor, refused))
        if items is None:
            return
        self._rows.clear()
        with self._rows:
            if items:
                self._table(items)
            else:
                empty(t("There are no keys yet."), t("Make one for each machine that sends logs or reads from here."))

    def _table(self, items: list[dict[str, Any]]) -> None:
        t, at = self._visitor.t, self._visitor.centre.clock.now()
        with ui.element("table").classes("list"):
            names = (t("Name"), t("What it may do"), t("Agency"), t("Last used"), t("Ends"), "")
            head = "".join(f'<th scope="col">{escape(one)}</th>' if one else "<td></td>" for one in names)
            ui.html(f"<tr>{head}</tr>", tag="thead", sanitize=False)
            with ui.element("tbody"):
                for one in items:
                    ended = bool(one["revoked_at"]) or one["expires_at"] <= f"{at:%Y-%m-%dT%H:%M:%S}"
                    where = self._visitor.agency_name(one["agency"]) if one["agency"] else one["centre"] or t("All")
                    source = f" · {escape(one['source'])}" if one["source"] else ""
                    ends = escape(t("revoked")) if one["revoked_at"] else time_html(one["expires_at"])
                    name = f'<b>{escape(one["name"])}</b><br><span class="soft mono">{escape(one["id"])}</span>'
                    actions = f'<span class="mono">{escape(", ".join(one["actions"]))}</span>'
                    with ui.element("tr").props(f'data-key="{one["id"]}"'):
                        for cell in (name, actions, escape(where) + source, time_html(one["last_used_at"]), ends):
                            ui.html(cell, tag="td", sanitize=False)
                        with ui.element("td").classes("right"), ui.element("div").classes("actions"):
                            if self._writes and not ended:
                                if not one["certificate"]:
                                    press(t("Replace"), partial(self._rotate, one))
                                press(t("Revoke"), partial(self._revoke, one), kind="danger")

    def _ask(self) -> None:
        t, visitor = self._visitor.t, self._visitor
        with dialog(t("Make a key")) as opened:
            name = field(t("Name"), hint=t("Whose it is, for people"))
            words = sorted(str(one) for one in KEY_ACTIONS - OF_CENTRES)
            actions = (
                ui.select(words, label=t("What it may do"), multiple=True, value=[]).props("outlined dense use-chips").classes("field")
            )
            known = {"": t("All")} | {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies}
            agency = ui.select(known, label=t("Agency"), value="").props("outlined dense").classes("field")
            source = field(t("Source"), hint=t("Only of a key that writes logs"))
            days = ui.number(t("Days it holds"), value=365, min=1, max=1098, precision=0).props("outlined dense").classes("field")

            async def make() -> None:
                wish = {
                    "name": name.value,
                    "actions": actions.value,
                    "agency": agency.value,
                    "source": source.value,
                    "days": int(days.value or 0),
                }
                with telling(visitor):
                    made = (await visitor.api.post("/v1/keys", wish)).body
                    opened.close()
                    await self._told(made)

            with ui.element("div").classes("actions"):
                press(t("Make it"), make, kind="primary")
                press(t("Close"), opened.close)

    async def _told(self, made: dict[str, Any]) -> None:
        t = self._visitor.t
        await self.show()
        with self._rows:
            shown_once(
                self._visitor,
                t("The key"),
                t("Put it into the machine now: it is not kept here, and nobody can show it again."),
                [made["key"]],
            )

    async def _rotate(self, one: dict[str, Any]) -> None:
        with telling(self._visitor):
            made = (await self._visitor.api.post(f"/v1/keys/{one['id']}/rotate", {}, etag=f'"{one["version"]}"')).body
            done(self._visitor.t("The key before works for one more day."))
            await self._told(made)

    def _revoke(self, one: dict[str, Any]) -> None:
        t = self._visitor.t
        with dialog(t("Revoke {name}", name=one["name"])) as opened:
            text("p", t("The machine that uses it is shut out at once."))

            async def send() -> None:
                with telling(self._visitor):
                    await self._visitor.api.delete(f"/v1/keys/{one['id']}", etag=f'"{one["version"]}"')
                    opened.close()
                    done(t("The key is revoked."))
                    await self.show()

            with ui.element("div").classes("actions"):
                press(t("Revoke"), send, kind="danger")
                press(t("Close"), opened.close)
