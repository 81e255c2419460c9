"""How much of a personal-information case somebody is shown, in one place for every route and page.

- FULL: the centre's analysts and lead, and the controller's own officer and privacy officer.
- REDACTED: auditors. Dates, counts, tracks, hashes; no free text, where a person might be named, and no proofs' addresses or receipts.
- STATUS: the mayor's office. That the case is there, its state and its tracks' states.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from core.permissions import Action, Agencies, Principal

READING: Final = (Action.PERSONAL_READ, Action.PERSONAL_REDACTED, Action.PERSONAL_STATUS)
WRITING: Final = (Action.PERSONAL_FACTS, Action.PERSONAL_TECHNICAL, Action.PERSONAL_DECIDE)
_REDACTED_PROOFS: Final = frozenset(
    {
        *("letter", "sha256", "missing", "at", "method", "recipients", "notified", "newspapers", "until", "taken_down", "explained"),
        *("place", "waived", "voluntary", "to", "lacking", "accepted"),
    }
)


class View(IntEnum):
    """How much is shown, the least first."""

    STATUS = 1
    REDACTED = 2
    FULL = 3


_VIEW_OF: Final[Mapping[Action, View]] = {
    Action.PERSONAL_READ: View.FULL,
    Action.PERSONAL_REDACTED: View.REDACTED,
    Action.PERSONAL_STATUS: View.STATUS,
}


def scope(caller: Principal, actions: tuple[Action, ...] = READING) -> Agencies:
    """The agencies any of `actions` reaches; Forbidden without one."""
    held = [caller.scope(action) for action in actions if caller.may(action)]
    if not held:
        return caller.scope(actions[0])
    together: frozenset[str] = frozenset()
    for one in held:
        if one is None:
            return None
        together |= one
    return together


def view(caller: Principal, agency: str) -> View | None:
    """How much of a case of `agency` the caller is shown; None: nothing."""
    shown = [_VIEW_OF[action] for action in READING if caller.may(action) and _reaches(caller.scope(action), agency)]
    return max(shown, default=None)


def text(words: str, shown: View) -> str:
    """Free text, such as a reason, as `shown` allows."""
    return words if shown is View.FULL else ""


def proofs(given: Mapping[str, Any], shown: View) -> dict[str, Any]:
    """The proofs of a track as `shown` allows."""
    if shown is View.FULL:
        return dict(given)
    return {name: value for name, value in given.items() if name in _REDACTED_PROOFS} if shown is View.REDACTED else {}


def _reaches(agencies: Agencies, agency: str) -> bool:
    return agencies is None or agency in agencies
