"""What can be done from the queue, with its key; and the page's help, which tells of all keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nicegui import ui

from api.dashboard.steps.names import step_name
from api.dashboard.texts import Texts
from api.dashboard.visitor import Visitor
from core.permissions import Action


@dataclass(frozen=True, slots=True)
class Offered:
    """A deed with its button: `key` is '' where it has none."""

    action: str
    name: str
    key: str = ""


def deeds_offered(visitor: Visitor) -> Sequence[Offered]:
    """What the visitor's role may do to incidents."""
    t, found = visitor.t, []
    if visitor.principal.may(Action.INCIDENTS_WRITE):
        found += [Offered("assign", t("Assign to me"), "a"), Offered("assign_to", t("Assign to ...")), Offered("triage", t("Triage"), "t")]
    if visitor.principal.may(Action.INCIDENTS_APPROVE):
        found.append(Offered("confirm", t("Confirm"), "c"))
    if visitor.principal.may(Action.INCIDENTS_WRITE):
        found += [Offered("dismiss", t("False positive"), "f"), Offered("merge", t("Merge"), "m")]
    return found


def queue_help(visitor: Visitor) -> None:
    """The overlay of the queue's keys; `triage.js` opens it."""
    t = visitor.t
    moves = (
        ("j", t("Next incident")),
        ("k", t("Previous incident")),
        ("Enter, o", t("Open it")),
        ("x", t("Choose it, or not")),
        *((one.key, one.name) for one in deeds_offered(visitor) if one.key),
        ("/", t("Search")),
        ("n", t("Show what is new")),
        ("?", t("This help")),
        ("Esc", t("Close, leave the search, choose none")),
    )
    note = t("Keys act on the chosen incidents; when none is chosen, on the one you are at.")
    _overlay(t, "queue-keys", moves, note)


def page_help(visitor: Visitor) -> None:
    """The overlay of the keys of an incident's page; `triage.js` opens it."""
    t = visitor.t
    steps = (("a", "assign"), ("t", "triage"), ("c", "confirm"), ("f", "dismiss"))
    named = tuple((key, step_name(t, "incident", action)) for key, action in steps)
    moves = (*named, ("u", t("Back to the queue")), ("?", t("This help")), ("Esc", t("Close")))
    _overlay(t, "incident-keys", moves, t("Keys work for the steps that are offered above."))


def _overlay(t: Texts, name: str, moves: Sequence[tuple[str, str]], note: str) -> None:
    rows = "".join(f'<tr><th scope="row"><kbd>{escape(key)}</kbd></th><td>{escape(name)}</td></tr>' for key, name in moves)
    ui.html(
        f'<h2 id="keys-title">{escape(t("Keys"))}</h2><table><tbody>{rows}</tbody></table><p>{escape(note)}</p>'
        f'<form method="dialog"><button class="tool">{escape(t("Close"))}</button></form>',
        tag="dialog",
        sanitize=False,
    ).classes("keys").props(f"id={name} aria-labelledby=keys-title")
