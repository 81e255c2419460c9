"""How the intake ledger stands: up to when hours are closed, and whether every line is accounted for."""

from __future__ import annotations

from html import escape

from nicegui import ui

from api.dashboard.elements import text, time_html
from api.dashboard.ledger_texts import lines_text, problem_html
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from api.ledger import Difference, LedgerStanding
from core.permissions import Action


class Intake:
    """A panel that `show` brings up to date."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        t = visitor.t
        with ui.element("section").classes("panel intake"):
            with ui.element("header"):
                text("h2", t("Intake ledger"))
                if visitor.principal.may(Action.AUDIT_READ):
                    ui.html(escape(t("Audit")), tag="a", sanitize=False).classes("note right").props('href="/audit"')
            self._verdict = ui.html("", sanitize=False).props("role=status")
            self._facts = ui.html("", tag="dl", sanitize=False).classes("facts")
            self._more = ui.html("", tag="ul", sanitize=False).classes("differences")
        self._told: tuple[str, str, str] | None = None

    def show(self, ledger: LedgerStanding) -> None:
        """Show how it stands."""
        told = (self._judged(ledger), self._figures(ledger), self._wrong(ledger))
        if told != self._told:
            for element, content in zip((self._verdict, self._facts, self._more), told, strict=True):
                element.set_content(content)
            self._told = told

    def _judged(self, ledger: LedgerStanding) -> str:
        t = self._visitor.t
        if ledger.holds is None:
            return _verdict("waits", "hourglass_empty", t("No hour is closed yet"), t("An hour is closed some minutes after its end."))
        if ledger.holds:
            return _verdict("holds", "verified", t("The ledger holds"), t("Every line received is stored or quarantined, and evaluated."))
        return _verdict("fails", "error", t("The ledger does not hold"), t("Lines are missing, or a record was changed."))

    def _figures(self, ledger: LedgerStanding) -> str:
        t = self._visitor.t
        pairs = (
            (t("Closed until"), time_html(ledger.closed_until)),
            (t("Differences in 7 days"), number(ledger.differences)),
            (t("Found by checks"), number(ledger.problems)),
            (t("Checked last"), time_html(ledger.checked_at)),
        )
        return "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in pairs)

    def _wrong(self, ledger: LedgerStanding) -> str:
        found = [problem_html(self._visitor, one.model_dump(mode="json")) for one in ledger.told[:3]]
        told = [self._difference(one) for one in ledger.named[:3]] + found
        return "".join(f"<li>{one}</li>" for one in told)

    def _difference(self, one: Difference) -> str:
        t, visitor = self._visitor.t, self._visitor
        figures = one.model_dump(include={"received", "stored", "quarantined", "evaluated"})
        place = escape(f"{visitor.agency_name(one.agency)}, {one.source or '–'}")
        return f"{place}, {time_html(one.hour)}: {escape(lines_text(t, figures))}"


def _verdict(mood: str, icon: str, title: str, note: str) -> str:
    return (
        f'<p class="verdict is-{mood}"><i class="material-icons" aria-hidden="true">{icon}</i>'
        f"<span><b>{escape(title)}</b><small>{escape(note)}</small></span></p>"
    )
