"""The buttons that verify the trail and the ledger, and what came of it in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import panel, text, time_html
from api.dashboard.ledger_texts import lines_text, problem_html, told_as
from api.dashboard.telling import why
from api.dashboard.texts import Texts, number
from api.dashboard.visitor import Visitor
from core.permissions import Action

_MOST: Final = 20
Judge = Callable[[], Awaitable[str]]


class Verifying:
    """The part of the page for those who verify; others see up to where the trail is signed."""

    def __init__(self, visitor: Visitor, changed: Callable[[], Awaitable[None]]) -> None:
        self._visitor = visitor
        self._changed = changed
        t, caller = visitor.t, visitor.principal
        with ui.element("div").classes("beside"):
            with panel(t("Audit trail")) as head:
                with head:
                    self._signed = text("span", "", "note")
                if caller.may(Action.AUDIT_VERIFY):
                    about = t("Walks every row from the first and checks its hash, and every signature.")
                    self._proof("trail", about, t("Verify the trail"), self._trail)
            if caller.may(Action.AUDIT_VERIFY):
                with panel(t("Intake ledger")):
                    about = t("Walks the chain and counts all lines again, in the store and on the bus. With much data it takes minutes.")
                    self._proof("ledger", about, t("Verify the ledger"), self._ledger)

    def _proof(self, name: str, about: str, label: str, judge: Judge) -> None:
        t = self._visitor.t
        with ui.element("div").classes("proof"):
            text("p", about)
            with ui.element("div").classes("tools"):
                button = (
                    ui.html(escape(label), tag="button", sanitize=False).classes("tool primary").props(f'type=button id="verify-{name}"')
                )
                if name == "trail":
                    export = escape(t("Export (JSON lines)"))
                    ui.html(export, tag="a", sanitize=False).classes("tool").props('href="/v1/audit/export" download')
            bar = ui.linear_progress(show_value=False).props(f'indeterminate aria-label="{t("Verifying")}"').classes("running")
            bar.set_visibility(False)
            result = ui.html("", sanitize=False).classes("result").props(f'role=status id="result-{name}"')

        async def verify() -> None:
            button.props("disabled")
            bar.set_visibility(True)
            result.set_content(f'<p class="soft">{escape(t("Verifying. You may stay on this page or come back."))}</p>')
            try:
                result.set_content(await judge())
                await self._changed()
            except Refused as refused:
                result.set_content(_verdict("fails", "error", t("This could not be verified."), why(self._visitor, refused)))
            finally:
                bar.set_visibility(False)
                button.props(remove="disabled")

        button.on("click", verify)

    async def refresh(self) -> None:
        """Show up to where the trail is signed. Raises Refused."""
        t = self._visitor.t
        found = (await self._visitor.api.get("/v1/audit/checkpoints", limit=1)).body
        if not found["items"]:
            self._signed.set_content(escape(t("not signed yet")))
            return
        newest = found["items"][0]
        told = t("signed up to row {row}, {count} signatures, the last", row=number(newest["seq"]), count=number(found["total"]))
        self._signed.set_content(f"{escape(told)} {time_html(newest['at'])}")

    async def _trail(self) -> str:
        t = self._visitor.t
        found = (await self._visitor.api.get("/v1/audit/verify")).body
        whole = t(
            "{rows} rows, signed up to row {signed} by {checkpoints} signatures (key {keys})",
            rows=number(found["entries"]),
            signed=number(found["signed_until"]),
            checkpoints=number(found["checkpoints"]),
            keys=", ".join(found["keys"]) or "–",
        )
        if found["problem"]:
            return _verdict("fails", "error", t("The audit trail was tampered with"), _of_trail(t, found["problem"])) + _note(whole)
        return _verdict("holds", "verified", t("The audit trail is whole"), whole) + _note(t("Head: {hash}", hash=found["head"]))

    async def _ledger(self) -> str:
        t = self._visitor.t
        found = (await self._visitor.api.get("/v1/ledger/verify")).body
        whole = t(
            "{entries} entries, {hours} hours counted again: {lines}",
            entries=number(found["entries"]),
            hours=number(found["hours"]),
            lines=lines_text(t, found["counted"]),
        )
        if found["waiting"]:
            whole += f" · {t('hours under way are not judged while lines are on their way')}"
        if found["holds"]:
            return _verdict("holds", "verified", t("The ledger holds"), whole)
        told = [f"<li>{problem_html(self._visitor, one)}</li>" for one in found["problems"][:_MOST]]
        if (more := len(found["problems"]) + found["left_out"] - len(told)) > 0:
            told.append(f"<li>{escape(t('and {count} more', count=more))}</li>")
        return _verdict("fails", "error", t("The ledger does not hold"), whole) + f'<ul class="differences">{"".join(told)}</ul>'


def _verdict(mood: str, icon: str, title: str, note: str) -> str:
    return (
        f'<p class="verdict is-{mood}"><i class="material-icons" aria-hidden="true">{icon}</i>'
        f"<span><b>{escape(title)}</b><small>{escape(note)}</small></span></p>"
    )


def _note(told: str) -> str:
    return f'<p class="soft mono">{escape(told)}</p>'


def _of_trail(t: Texts, problem: str) -> str:
    """What is wrong with the trail, in the visitor's language; what is not known here as the API says it."""
    return told_as(_trail_problems(t), problem)


def _trail_problems(t: Texts) -> Iterator[tuple[str, str]]:
    yield r"row (?P<row>\d+) was changed.*", t("Row {row} was changed: its content does not match its hash.")
    yield r"row (?P<row>\d+) is missing.*", t("Row {row} is missing.")
    yield r"row (?P<row>\d+) does not follow row \d+.*", t("Row {row} does not follow the row before it.")
    yield (
        r"row (?P<row>\d+) and those up to (?P<last>\d+), which were signed, are missing",
        t("Rows {row} to {last}, which were signed, are missing."),
    )
    yield r"row (?P<row>\d+) is not the one that was signed", t("Row {row} is not the one that was signed.")
    yield r"the signature over row (?P<row>\d+) is not of the key .*", t("The signature over row {row} is not of this centre's key.")
