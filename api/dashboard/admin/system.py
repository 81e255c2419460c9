"""What runs here: versions, how parts and stages are doing, and deliveries that were given up."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.admin.tabs import READY_SECONDS, administration
from api.dashboard.client import Refused
from api.dashboard.elements import empty, facts, panel, text, time_html
from api.dashboard.forms import press
from api.dashboard.refusals import refusal
from api.dashboard.telling import done, telling, why
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.errors import Unauthenticated
from core.permissions import Action

_REFRESH_SECONDS: Final = 5.0


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/admin/system", response_timeout=READY_SECONDS)
    async def system(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        with administration(visitor, Action.SYSTEM_READ) as allowed:
            if not allowed:
                return
            try:
                found = (await visitor.api.get("/v1/system")).body
            except Refused as refused:
                empty(t("This cannot be shown right now."), why(visitor, refused))
                return
            with panel(t("Versions")):
                facts(_versions(visitor, found))
            with panel(t("Parts and stages")):
                health = ui.html(_health(visitor, found), sanitize=False).classes("scroll").props("tabindex=0")
            ui.timer(_REFRESH_SECONDS, partial(_refresh, visitor, health), immediate=False)
            if visitor.principal.may(Action.ONCALL_READ):
                await _Dead(visitor).show()


async def _refresh(visitor: Visitor, health: ui.html) -> None:
    try:
        await visitor.recheck()
        shown = _health(visitor, (await visitor.api.get("/v1/system")).body)
    except Unauthenticated:
        ui.navigate.to(visitor.login_url)
    except Refused:
        return  # what is shown stays until the next time
    else:
        if shown != health.content:
            health.set_content(shown)


def _versions(visitor: Visitor, found: dict[str, Any]) -> list[tuple[str, str]]:
    t = visitor.t
    aside = f" · {t('{count} set aside', count=found['rules_set_aside'])}" if found["rules_set_aside"] else ""
    own = f" · {t('{count} of your own', count=found['own_parsers'])}" if found["own_parsers"] else ""
    return [
        (t("Bongsu"), escape(found["version"])),
        (t("Python"), escape(found["python"])),
        (t("Event store"), escape(found["store"] or t("does not answer"))),
        (t("Records"), escape(found["database"] or t("does not answer"))),
        (t("Revision of the records"), escape(found["database_revision"])),
        (
            t("Rules"),
            escape(t("{rules} and {correlations} correlations", rules=found["rules"], correlations=found["correlations"]) + aside),
        ),
        (t("Parsers"), escape(f"{found['parsers']}{own}")),
    ]


def _health(visitor: Visitor, found: dict[str, Any]) -> str:
    t = visitor.t
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in (t("Part"), t("State"), t("Waiting messages"), t("Problem")))
    words = {True: escape(t("works")), False: escape(t("fails"))}
    rows = "".join(
        f'<tr><th scope="row" class="mono">{escape(one["name"])}</th>'
        f'<td><span class="standing is-{"met" if one["ready"] else "overdue"}">{words[one["ready"]]}</span></td>'
        f'<td class="num">{"–" if one["lag"] is None else number(one["lag"])}</td><td>{escape(refusal(t, one["problem"]))}</td></tr>'
        for one in (*found["parts"], *found["stages"])
    )
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


class _Dead:
    """Deliveries that were given up, with a button that tries each again."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        with panel(visitor.t("News that could not be delivered")):
            self._place = ui.element("div").classes("scroll").props("tabindex=0")

    async def show(self) -> None:
        """Draw what there is now."""
        t = self._visitor.t
        with telling(self._visitor):
            items = (await self._visitor.api.get("/v1/deliveries/dead")).body["items"]
            self._place.clear()
            with self._place:
                if not items:
                    text("p", t("Everything was delivered."), "soft slip")
                for one in items:
                    self._row(one)

    def _row(self, one: dict[str, Any]) -> None:
        t = self._visitor.t
        with ui.element("div").classes("slip").props(f"data-delivery={one['id']}"):
            told = f"<b>{escape(one['channel'])}</b> {time_html(one['next_at'])}<br>{escape(refusal(t, one['problem']))}"
            ui.html(told, tag="p", sanitize=False)
            if self._visitor.principal.may(Action.ONCALL_WRITE):
                with ui.element("div").classes("actions"):
                    press(t("Deliver again"), partial(self._again, one["id"]))

    async def _again(self, delivery: int) -> None:
        with telling(self._visitor):
            await self._visitor.api.post(f"/v1/deliveries/{delivery}/again")
            done(self._visitor.t("It is tried once more."))
            await self.show()
