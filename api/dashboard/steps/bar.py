"""The steps a visitor may take on a case now, as buttons: the next one first and prominent, those that end or undo something apart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from nicegui import ui

from api.dashboard.client import Answer
from api.dashboard.steps.dialog import Deed, DeedDialog, etag_of, itself
from api.dashboard.steps.document import document
from api.dashboard.steps.entries import Choices
from api.dashboard.steps.names import step_name
from api.dashboard.telling import telling
from api.dashboard.visitor import Visitor
from respond.cases.machine import Machine

DANGEROUS: Final = frozenset(
    {
        *("cancel", "decline", "discard", "dismiss", "end", "excuse", "expire", "lift", "merge", "recall", "restrict", "retract"),
        *("revoke", "stand_down", "stop", "supersede", "suspend", "take_down", "waive", "waive_notice", "withdraw"),
    }
)
"""Steps that end or undo something. `release` ends a notice or a member's part, and is how a share goes out."""
_DANGEROUS_RELEASES: Final = frozenset({"warning_notice", "team_member"})
PREFILLED: Final = frozenset(
    {
        *("add_findings", "assess", "assign", "change_level", "correct", "describe", "determine", "edit", "extend", "rate"),
        *("record_findings", "submit", "submit_closing", "submit_followup", "verify"),
    }
)
"""Steps whose form begins with what the case says already."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What steps are taken on: a case, or a part of one with steps of its own.

    `path` is where its steps are (`/v1/reports/RPT-...`), `read` where it is read, `pick` takes it out of what is read,
    `record` is what was read, `steps` what may be done.
    """

    machine: Machine
    path: str
    read: str
    record: Mapping[str, Any]
    steps: Sequence[str]
    pick: Callable[[Mapping[str, Any]], Mapping[str, Any]] = itself


def case_subject(machine: Machine, path: str, record: Mapping[str, Any]) -> Subject:
    """A case as it was read at `path`."""
    return Subject(machine, path, path, record, record["progress"]["steps"])


Chooser = Callable[[Subject, str], Awaitable[Choices]]
"""What may be chosen in the form of a step."""
Starter = Callable[[Subject, str], Mapping[str, Any]]
"""What the form of a step begins with."""


def is_dangerous(machine: str, action: str) -> bool:
    """Whether a step ends or undoes something."""
    return action in DANGEROUS or (action == "release" and machine in _DANGEROUS_RELEASES)


def next_step(machine: Machine, state: str, offered: Sequence[str]) -> str:
    """The step that takes the case on from `state`, or ''."""
    onward = (one for one in machine.steps if one.action in offered and one.to not in ("", state))
    return next((one.action for one in onward if not is_dangerous(machine.kind, one.action)), "")


def known_already(subject: Subject, action: str) -> Mapping[str, Any]:
    """What the case says already, for the steps that say it anew."""
    if action not in PREFILLED:
        return {}
    content = subject.record.get("content") or subject.record.get("findings")
    return {**(content if isinstance(content, Mapping) else {}), **subject.record, "reason": ""}


class StepBar:
    """The buttons; `show` brings them up to date and leaves them alone when nothing changed."""

    def __init__(
        self,
        visitor: Visitor,
        after: Callable[[], Awaitable[None]],
        *,
        choices: Chooser | None = None,
        initial: Starter = known_already,
        without: Sequence[str] = (),
    ) -> None:
        self._visitor, self._after, self._choices, self._initial, self._without = visitor, after, choices, initial, without
        self._subject: Subject | None = None
        self._shown: tuple[str, Sequence[str]] | None = None
        self._box = ui.element("div").classes("steps").props("role=group")
        self._box.props["aria-label"] = visitor.t("Steps")

    def show(self, subject: Subject) -> None:
        """Offer what can be done now."""
        self._subject = subject
        offered = [one.action for one in subject.machine.steps if one.action in subject.steps and one.action not in self._without]
        state = str(subject.record["state"])
        if (state, offered) == self._shown:
            return
        self._shown = (state, offered)
        self._box.clear()
        main = next_step(subject.machine, state, offered)
        dangerous = [action for action in offered if is_dangerous(subject.machine.kind, action)]
        others = [action for action in offered if action != main and action not in dangerous]
        with self._box:
            for action in [main] if main else []:
                self._button(subject, action, "primary")
            for action in others:
                self._button(subject, action, "")
            for action in dangerous:
                self._button(subject, action, "danger apart" if action == dangerous[0] else "danger")

    def _button(self, subject: Subject, action: str, classes: str) -> None:
        button = ui.button(step_name(self._visitor.t, subject.machine.kind, action), on_click=partial(self.take, action), color=None)
        button.props("unelevated no-caps").classes(f"step {classes}").props["data-step"] = action

    async def take(self, action: str, given: Mapping[str, Any] | None = None, hidden: Sequence[str] = ()) -> None:
        """Open the form of a step; `given` is put in beside what is known, `hidden` fields are sent as given but not shown."""
        subject, visitor = self._subject, self._visitor
        if subject is None:
            return
        with telling(visitor):
            operation = (await document()).step(subject.machine.kind, action)
            choices = await self._choices(subject, action) if self._choices else {}
            name = step_name(visitor.t, subject.machine.kind, action)
            DeedDialog(
                visitor,
                Deed(
                    title=name,
                    button=name,
                    of=subject.machine.kind,
                    operation=operation,
                    path=f"{subject.path}/{action}",
                    after=self._done,
                    etag=etag_of(subject.record),
                    pick=subject.pick,
                    read=subject.read,
                    seen=subject.record,
                    choices=choices,
                    initial={**self._initial(subject, action), **(given or {})},
                    hidden=hidden,
                    dangerous=is_dangerous(subject.machine.kind, action),
                ),
            )

    async def _done(self, _answer: Answer) -> None:
        await self._after()
