"""One's own account: password, second factor, sessions, language and theme."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, tag_html, text, time_html
from api.dashboard.forms import field, press
from api.dashboard.frame import CURRENT, frame
from api.dashboard.second_factor_panel import SecondFactorPanel
from api.dashboard.telling import done, telling, why
from api.dashboard.texts import LANGUAGES, NAMES
from api.dashboard.visitor import Visitor

READY_SECONDS: Final = 30.0


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/account", response_timeout=READY_SECONDS)
    async def account(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        with frame(visitor, t("Your account")):
            try:
                found = (await visitor.api.get("/v1/account")).body
            except Refused as refused:
                empty(t("This cannot be shown right now."), why(visitor, refused))
                return
            _head(visitor, found)
            if found["has_password"]:
                _password(visitor, found)
            if found["due"] != "password":
                SecondFactorPanel(visitor, found)
                await _Sessions(visitor).show()
            _preferences(visitor)


def _head(visitor: Visitor, account: dict[str, Any]) -> None:
    t = visitor.t
    with ui.element("div").classes("page-head"):
        text("h1", t("Your account"))
        text("span", account["name"], "soft")
    told = {
        "password": t("Set a password of your own. The one you were given is for this log-in only; everything else opens afterwards."),
        "second_factor": t("Your role needs a second factor. Set it up here; everything else opens afterwards."),
    }.get(account["due"])
    if told:
        text("div", told, "banner warn").props("role=status")


def _password(visitor: Visitor, account: dict[str, Any]) -> None:
    t = visitor.t
    with panel(t("Password"), t("since {time}", time=account["password_changed_at"][:10])), ui.element("div").classes("slip"):
        rule = t("At least {count} characters; a sentence is easy to remember.", count=account["password_length"])
        text("p", rule, "soft")
        present = field(t("Present password"), password=True, autocomplete="current-password")
        new = field(t("New password"), password=True, autocomplete="new-password")
        again = field(t("New password once more"), password=True, autocomplete="new-password")

        async def change() -> None:
            if new.value != again.value:
                again.props("error").props(f'error-message="{t("The two are not the same.")}"')
                return
            again.props(remove="error")
            with telling(visitor):
                await visitor.api.post("/v1/account/password", {"present": present.value, "new": new.value})
                for one in (present, new, again):
                    one.value = ""
                done(t("The password is changed. Your other sessions have ended."))
                if account["due"]:
                    ui.navigate.to("/")

        with ui.element("div").classes("actions"):
            press(t("Change the password"), change, kind="primary")


class _Sessions:
    """The list of sessions, drawn anew after each change."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        t = visitor.t
        with panel(t("Sessions"), t("Where you are logged in")):
            self._rows = ui.element("div").classes("scroll").props(f'tabindex=0 role=region aria-label="{t("Sessions")}"')
            with ui.element("div").classes("actions"):
                press(t("End all other sessions"), self._end_others)

    async def show(self) -> None:
        """Draw the sessions as they are now."""
        found = (await self._visitor.api.get("/v1/account/sessions")).body["items"]
        self._rows.clear()
        with self._rows:
            sessions_table(self._visitor, found, self._end)

    async def _end(self, one: dict[str, Any]) -> None:
        with telling(self._visitor):
            await self._visitor.api.delete(f"/v1/account/sessions/{one['id']}")
            done(self._visitor.t("The session has ended."))
            await self.show()

    async def _end_others(self) -> None:
        with telling(self._visitor):
            ended = (await self._visitor.api.post("/v1/account/sessions/end-others")).body["ended"]
            await self.show()
            done(self._visitor.t.n("{count} session has ended.", "{count} sessions have ended.", ended))


def sessions_table(visitor: Visitor, sessions: list[dict[str, Any]], end: Callable[[dict[str, Any]], Any]) -> None:
    """Sessions with a button at each that ends it; none at the visitor's present one."""
    t = visitor.t
    columns = (t("Device"), t("Address"), t("Logged in"), t("Last used"), "")
    with ui.element("table").classes("list"):
        cells = "".join(f'<th scope="col">{escape(one)}</th>' if one else "<td></td>" for one in columns)
        ui.html(f"<tr>{cells}</tr>", tag="thead", sanitize=False)
        with ui.element("tbody"):
            for one in sessions:
                with ui.element("tr"):
                    device = escape(one["device"]) + (f" {tag_html(t('this session'))}" if one["current"] else "")
                    for cell in (device, escape(one["peer"]), time_html(one["created_at"]), time_html(one["last_seen_at"])):
                        ui.html(cell, tag="td", sanitize=False).classes("num")
                    with ui.element("td").classes("right"):
                        if not one["current"]:
                            button = press(t("End"), partial(end, one), kind="danger")
                            button.props(f'aria-label="{t("End the session on {device}", device=escape(one["device"], quote=True))}"')


def _preferences(visitor: Visitor) -> None:
    t = visitor.t
    with panel(t("Language and theme"), t("Kept in this browser")):
        links = [(f"language={one}", NAMES[one], one == t.language, one) for one in LANGUAGES]
        names = {"light": t("Light"), "dark": t("Dark"), "auto": t("As the system")}
        links += [(f"theme={theme}", name, theme == visitor.theme, t.language) for theme, name in names.items()]
        shown = "".join(
            f'<a class="tool" href="/preferences?{query}&amp;next=/account" lang="{language}"'
            f"{CURRENT if current else ''}>{escape(name)}{' ✓' if current else ''}</a>"
            for query, name, current, language in links
        )
        ui.html(shown, sanitize=False).classes("actions")
