"""The machines of a personal-information case and of its tracks.

The duty to notify, post and report stays with the agency's controller [CO 19(4)]: its officer tells the facts, its privacy officer
verifies, counts, signs and files, and the centre adds what it sees and logs what it gave. Steps without an article are our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step
from respond.personal.packs import Track

_FACTS, _DECIDE, _TECHNICAL = Action.PERSONAL_FACTS, Action.PERSONAL_DECIDE, Action.PERSONAL_TECHNICAL
_OPEN = "suspected possible verified"
_ANY = "suspected possible verified not_leaked"

CASE: Final = Machine(
    kind="personal_case",
    prefix="PIC",
    initial="suspected",
    steps=(
        step("describe", _OPEN, "", _FACTS, law="PIO 7(1)"),
        step("correct", _OPEN, "", _DECIDE, law="PIO 7(1)"),
        step("add_findings", _OPEN, "", _TECHNICAL, law="CO 19(4)"),
        step("log_support", _ANY, "", _TECHNICAL, law="CO 19(4)"),
        step("give_evidence", _ANY, "", _TECHNICAL, law="CO 19(4)"),
        step("find_possible", "suspected", "possible", _DECIDE),
        step("dismiss", "suspected possible", "not_leaked", _DECIDE, needs_reason=True),
        step("verify", "suspected possible not_leaked", "verified", _DECIDE, law="PIO 7(1)"),
        step("determine", "verified closed", "verified", _DECIDE, law="PIO 7(3)"),
        step("write_letter", "possible verified not_leaked", "", _DECIDE, law="PIO 7(1)"),
        step("close", "verified not_leaked", "closed", _DECIDE),
    ),
    ended=frozenset({"closed"}),
)

_CONTAINMENT: Final = Machine(
    kind="personal_containment",
    prefix="PIC",
    initial="open",
    steps=(
        step("measure", "open", "", _FACTS, law="PIO 7(2)"),
        step("finish", "open", "done", _FACTS, law="PIO 7(2)"),
        step("reopen", "done", "open", _FACTS, needs_reason=True),
    ),
    ended=frozenset({"done"}),
)

_NOTICE: Final = Machine(
    kind="personal_notice",
    prefix="PIC",
    initial="due",
    steps=(
        step("send_first", "due", "first_sent", _DECIDE, law="PIO 7(1), DEC 40(1)"),
        step("supplement", "first_sent supplemented complete", "supplemented", _DECIDE, law="DEC 40(2)"),
        step("complete", "first_sent supplemented", "complete", _DECIDE, law="DEC 40(2)"),
        step("post_in_lieu", "due", "in_lieu_posted", _DECIDE, needs_reason=True, law="DEC 48-4(4), (5)"),
        step("explain", "in_lieu_posted", "", _DECIDE, law="DEC 48-4(6)"),
        step("take_down", "in_lieu_posted", "due", _DECIDE, needs_reason=True),
        step("serve", "in_lieu_posted", "served", _DECIDE, law="DEC 48-4(4)"),
    ),
    ended=frozenset({"complete", "served"}),
)

_POSTING: Final = Machine(
    kind="personal_posting",
    prefix="PIC",
    initial="required",
    steps=(
        step("post", "required", "posted", _DECIDE, law="PIO 7(3), DEC 40(3)"),
        step("take_down", "posted", "required", _DECIDE, needs_reason=True),
        step("serve", "posted", "served", _DECIDE, law="PIO 7(3), DEC 40(3)"),
        step("waive", "required posted", "not_required", _DECIDE, needs_reason=True),
        step("require", "not_required", "required", _DECIDE, needs_reason=True),
    ),
    ended=frozenset({"served", "not_required"}),
)

_REPORT: Final = Machine(
    kind="personal_report",
    prefix="PIC",
    initial="evaluate",
    steps=(
        step("require", "evaluate not_required", "due", _DECIDE, needs_reason=True),
        step("waive", "evaluate due", "not_required", _DECIDE, needs_reason=True),
        step("reconsider", "not_required", "evaluate", _DECIDE, needs_reason=True),
        step("file", "due", "first", _DECIDE, law="PIO 7(3), DEC 39"),
        step("supplement", "first supplemented accepted", "supplemented", _DECIDE, law="DEC 48-4(3)"),
        step("accept", "first supplemented", "accepted", _DECIDE),
    ),
    ended=frozenset({"accepted", "not_required"}),
)

_POSSIBLE: Final = Machine(
    kind="personal_possible_notice",
    prefix="PIC",
    initial="due",
    steps=(
        step("send", "due", "sent", _DECIDE),
        step("waive", "due", "not_required", _DECIDE, needs_reason=True),
        step("retract", "sent", "retracted", _DECIDE),
    ),
    ended=frozenset({"sent", "retracted", "not_required"}),
)

TRACKS: Final[Mapping[Track, Machine]] = {
    Track.CONTAINMENT: _CONTAINMENT,
    Track.NOTICE: _NOTICE,
    Track.POSTING: _POSTING,
    Track.REPORT: _REPORT,
    Track.POSSIBLE_NOTICE: _POSSIBLE,
}
