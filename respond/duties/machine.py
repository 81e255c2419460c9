"""The machines of annual duties [ours: the ordinance says what is done, and that it is done every year, not how].

A campaign is one year's round of one kind, a duty its part at one agency. The agency diagnoses itself (`answer`), or the centre inspects
(`inspect`); either way the centre writes down what was found, and signs it off. A waiver says why nothing was done; it is no doing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step
from respond.requests.machine import Article

_WRITE, _ANSWER = Action.DUTIES_WRITE, Action.DUTIES_ANSWER


class Kind(StrEnum):
    """What is done every year. The words are stored."""

    INSPECTION = "inspection"
    TRAINING = "training"
    AUDIT = "audit"
    ACCESS_REVIEW = "access_review"
    CCTV_INSPECTION = "cctv_inspection"


LAW: Final[Mapping[Kind, str]] = {
    Kind.INSPECTION: "CO 15(1)",
    Kind.TRAINING: "CO 21(1)",
    Kind.AUDIT: "CO 25(1)",
    Kind.ACCESS_REVIEW: "DEC 30(1)2",
    Kind.CCTV_INSPECTION: "CCTV 4(6)",
}
"""The paragraph each kind carries out. Only the first three name a year; for the others once a year is the centre's own rule [ours]."""

CORRECTIVE: Final[Mapping[Kind, Article]] = {Kind.INSPECTION: Article.CORRECTIVE, Kind.TRAINING: Article.AFTER_TRAINING}
"""The article a corrective request after a finding rests on; the other kinds have none."""

CAMPAIGN: Final = Machine(
    kind="campaign",
    prefix="CMP",
    initial="planned",
    steps=(
        step("edit", "planned", "", _WRITE),
        step("start", "planned", "running", _WRITE, law="CO 15(1), 21(1), 25(1)"),
        step("include", "running", "", _WRITE),
        step("close", "running", "closed", _WRITE),
        step("cancel", "planned running", "cancelled", _WRITE, needs_reason=True),
    ),
    ended=frozenset({"closed", "cancelled"}),
)

DUTY: Final = Machine(
    kind="duty",
    prefix="DTY",
    initial="open",
    steps=(
        step("prove", "open", "", _ANSWER, law="CO 15(1)"),
        step("answer", "open", "answered", _ANSWER, law="CO 15(1)"),
        step("send_back", "answered", "open", _WRITE, needs_reason=True),
        step("inspect", "open answered", "inspected", _WRITE, law="CO 15(1), (2), 25(1)"),
        step("cite", "open answered inspected findings", "", _WRITE, law="CO 25(3)"),
        step("record_findings", "answered inspected findings", "findings", _WRITE),
        step("request_correction", "findings", "", _WRITE, law="CO 15(3), 21(4)"),
        step("ask_internal_audit", "findings", "", _WRITE, law="CO 25(2)"),
        step("sign_off", "findings", "done", _WRITE),
        step("extend", "open answered inspected findings", "", _WRITE, needs_reason=True),
        step("waive", "open answered inspected", "waived", _WRITE, needs_reason=True),
        step("reopen", "done waived", "open", _WRITE, needs_reason=True),
    ),
    ended=frozenset({"done", "waived"}),
)
