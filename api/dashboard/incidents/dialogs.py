"""The questions the queue asks before it does something to incidents, and how it tells what became of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.incidents.deeds import Outcome
from api.dashboard.steps.entries import MANY_OPTIONS
from api.dashboard.visitor import Visitor
from api.incident_shapes import Incident

LONGEST_REASON = 4000


class Ask:
    """A dialog with a few inputs; `then` is called with what was typed, by name, when everything needed is there."""

    def __init__(
        self, visitor: Visitor, title: str, button: str, then: Callable[[Mapping[str, Any]], Awaitable[None]], note: str = ""
    ) -> None:
        self._visitor, self._then = visitor, then
        self._inputs: dict[str, tuple[Any, bool]] = {}
        t = visitor.t
        with (
            ui.context.client.content,  # not where the button stands: that may be built anew meanwhile
            ui.dialog(value=True).props("transition-duration=0") as self._dialog,
            ui.element("div").classes("sheet"),
        ):
            self._dialog.props["aria-label"] = title
            text("h2", title)
            if note:
                text("p", note, "soft")
            self._body = ui.element("div").classes("step-form")
            with ui.element("div").classes("sheet-end"):
                ui.button(t("Cancel"), color=None, on_click=self._dialog.close).props("flat no-caps").classes("cancel")
                self._send = ui.button(button, color=None, on_click=self._go).props("unelevated no-caps").classes("primary")
        self._dialog.on("hide", self._dialog.delete)

    def reason(self, label: str) -> Ask:
        """Ask why."""
        with self._body:
            box = ui.textarea(label).props(f"outlined autogrow autofocus maxlength={LONGEST_REASON}").classes("wide")
        box.on("keydown.ctrl.enter", self._go)
        self._inputs["reason"] = (box, True)
        return self

    def choice(self, name: str, label: str, options: Mapping[str, str], value: str) -> Ask:
        """Ask which one; '' among the options is an answer, too. From ten on one may type to find one."""
        with self._body:
            box = ui.select(dict(options), label=label, value=value, with_input=len(options) >= MANY_OPTIONS)
            box.props("outlined dense autofocus behavior=menu").classes("wide")
        self._inputs[name] = (box, "" not in options)
        return self

    async def _go(self) -> None:
        typed = {name: (box.value or "").strip() for name, (box, _) in self._inputs.items()}
        missing = [box for name, (box, needed) in self._inputs.items() if needed and not typed[name]]
        for box in missing:
            box.props["error"] = True
            box.props["error-message"] = self._visitor.t("This is needed.")
            box.update()
        if not missing:
            self._dialog.close()
            await self._then(typed)


def tell_refusals(visitor: Visitor, title: str, outcomes: Sequence[Outcome], incidents: Mapping[str, Incident]) -> None:
    """What became of each incident, where some were refused."""
    t = visitor.t
    with ui.dialog(value=True).props("transition-duration=0") as dialog, ui.element("div").classes("sheet"):
        dialog.props["aria-label"] = title
        text("h2", title)
        refused = sum(bool(one.refused) for one in outcomes)
        text("p", t("{done} done, {refused} refused", done=len(outcomes) - refused, refused=refused), "soft")
        lines = "".join(_outcome_html(visitor, one, incidents) for one in outcomes)
        ui.html(lines, tag="ul", sanitize=False).classes("outcomes")
        with ui.element("div").classes("sheet-end"):
            ui.button(t("Close"), color=None, on_click=dialog.close).props("unelevated no-caps autofocus").classes("primary")
    dialog.on("hide", dialog.delete)


def _outcome_html(visitor: Visitor, one: Outcome, incidents: Mapping[str, Incident]) -> str:
    t = visitor.t
    known = incidents.get(one.number)
    title = f"<span>{escape(visitor.title(known.title))}</span>" if known else ""
    said = escape(one.refused).replace("\n", " ") if one.refused else escape(t("Done"))
    kind = "refused" if one.refused else "done"
    return f'<li class="{kind}"><b class="num">{escape(one.number)}</b> {title}<div>{said}</div></li>'
