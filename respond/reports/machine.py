"""The machine of accident reports, article 19(3).

An agency may supplement a received report before anybody asks (`submit_followup` from `received` and `followup_submitted` [ours]): a
first report may be incomplete. A closing report answers open questions only after a follow-up has.
"""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

MACHINE: Final = Machine(
    kind="report",
    prefix="RPT",
    initial="draft",
    steps=(
        step("edit", "draft", "", Action.REPORTS_WRITE),
        step("submit", "draft", "submitted", Action.REPORTS_WRITE, law="19(3)"),
        step("receive", "submitted", "received", Action.REPORTS_RECEIVE, law="19(3)"),
        step("request_followup", "received followup_submitted", "followup_requested", Action.REPORTS_RECEIVE),
        step("submit_followup", "received followup_requested followup_submitted", "followup_submitted", Action.REPORTS_WRITE),
        step("submit_closing", "received followup_submitted", "closing_submitted", Action.REPORTS_WRITE),
        step("accept", "closing_submitted", "accepted", Action.REPORTS_RECEIVE),
        step("close", "accepted", "closed", Action.REPORTS_RECEIVE),
    ),
    ended=frozenset({"closed"}),
)
