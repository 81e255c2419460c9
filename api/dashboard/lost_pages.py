"""What stands where no page is, and where one failed: the frame stays, so that the way on is at hand."""

from __future__ import annotations

from nicegui import ui

from api.dashboard.elements import empty
from api.dashboard.frame import frame
from api.dashboard.visitor import Visitor


async def missing() -> None:
    """The page of an address without one: 404."""
    visitor = Visitor.known(ui.context.client.request)
    t = visitor.t
    ui.context.client.status_code = 404
    _tell(visitor, t("There is no such page."), t("The address is wrong, or old. The pages there are stand at the side."))


def failed() -> None:
    """In place of a page that could not be built; the reason is in the log under the number told here."""
    request = ui.context.client.request
    visitor = Visitor.known(request)
    t = visitor.t
    number = request.scope["state"].get("request_id", "")
    hint = t(
        "Why is in the log of the centre. Try again in a moment; if it stays so, tell its administrator the number {number}.", number=number
    )
    _tell(visitor, t("This page could not be shown."), hint)


def _tell(visitor: Visitor, title: str, hint: str) -> None:
    with frame(visitor, title), ui.element("section").classes("panel"):
        empty(title, hint)
