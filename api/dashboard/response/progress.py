"""What is waited for and how a case went. A number of the centre's own is never shown as one of the law's [DOMAIN trap 1]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Protocol

from nicegui import ui

from api.dashboard.elements import panel, text, time_html
from api.dashboard.refusals import refusal
from api.dashboard.response.kinds import CaseKind
from api.dashboard.response.shown import Showing, duration
from api.dashboard.steps.names import actor_name, clock_name, state_name, step_name
from api.dashboard.texts import Texts
from api.dashboard.visitor import Visitor


class Shown(Protocol):
    """The page of a case, as its parts see it."""

    visitor: Visitor
    kind: CaseKind
    record: Mapping[str, Any]
    showing: Showing


def clocks(page: Shown) -> None:
    """The clocks of the case, those that run first."""
    found = page.record.get("progress", {}).get("clocks", [])
    if not found:
        return
    t = page.visitor.t
    with panel(t("Clocks")):
        ordered = sorted(found, key=lambda one: one["stopped_at"] is not None)
        ui.html("".join(clock_html(t, page.kind.machine.kind, one) for one in ordered), tag="ul", sanitize=False).classes("clocks")


def clock_html(t: Texts, machine: str, clock: Mapping[str, Any]) -> str:
    """A clock: what is waited for, until when, whether that has passed, and who set it."""
    late, stopped = clock["overdue_seconds"], clock["stopped_at"]
    if stopped and late:
        standing, mood = t("Was late by {time}", time=duration(t, late)), "was-late"
    elif stopped:
        standing, mood = t("In time"), "done"
    elif late:
        standing, mood = t("Overdue by {time}", time=duration(t, late)), "late"
    else:
        standing, mood = t("Running"), "running"
    due = f"{escape(t('Due'))} {time_html(clock['due_at'])}" if clock["due_at"] else escape(t("No time is set"))
    name = escape(clock_name(t, machine, clock["name"]))
    return (
        f'<li class="clock is-{mood}"><b>{name}</b><span class="standing-of">{escape(standing)}</span>'
        f'<span>{due}</span><span class="soft">{escape(t.word("basis", clock["basis"]))}</span></li>'
    )


def history(page: Shown) -> None:
    """What was done, the newest first."""
    happened: Sequence[Mapping[str, Any]] = page.record.get("progress", {}).get("history", [])
    if not happened:
        return
    t, machine = page.visitor.t, page.kind.machine.kind
    with panel(t("History")):
        ui.html("".join(happened_html(t, machine, one) for one in reversed(happened)), tag="ol", sanitize=False).classes("happened")


def happened_html(t: Texts, machine: str, one: Mapping[str, Any]) -> str:
    """One change: when, who, what, into which state, and why."""
    into = f" → {escape(state_name(t, machine, one['after']))}" if one["after"] != one["before"] else ""
    why = f'<p class="why">{escape(refusal(t, one["reason"]))}</p>' if one["reason"] else ""
    by = escape(actor_name(t, one["actor"]))
    did = escape(step_name(t, machine, one["action"]))
    return f'<li><div><b>{did}</b>{into}</div><div class="soft">{time_html(one["at"])} · {by}</div>{why}</li>'


def quiet(message: str) -> None:
    """A line where a panel has nothing to show."""
    text("p", message, "notice")
