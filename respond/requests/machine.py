"""The machine of requests, and what each article makes of it.

Only articles 12, 15(3) and 19(2) oblige an agency to comply unless it has a justifiable cause; the words are shown for these alone.
Article 17(4) asks a provider of cloud services, who has no account here: whoever drafted the request writes down the replies.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step


class Article(StrEnum):
    """The article a request rests on. The words are stored."""

    DATA = "12"
    CORRECTIVE = "15(3)"
    CLOUD = "17(4)"
    MEASURES = "19(2)"
    AFTER_TRAINING = "21(4)"


OBLIGES: Final = frozenset({Article.DATA, Article.CORRECTIVE, Article.MEASURES})
"""Comply unless there is a justifiable cause."""

MACHINE: Final = Machine(
    kind="request",
    prefix="REQ",
    initial="draft",
    steps=(
        step("edit", "draft", "", Action.REQUESTS_DRAFT),
        step("issue", "draft", "issued", Action.REQUESTS_ISSUE),
        step("receive", "issued reissued", "received", Action.REQUESTS_RESPOND),
        step("comply", "received", "complied", Action.REQUESTS_RESPOND),
        step("comply_partly", "received", "partial", Action.REQUESTS_RESPOND, needs_reason=True),
        step("claim_cause", "received", "cause_claimed", Action.REQUESTS_RESPOND, needs_reason=True),
        step("accept", "complied partial cause_claimed", "accepted", Action.REQUESTS_ISSUE),
        step("reject_cause", "partial cause_claimed", "cause_rejected", Action.REQUESTS_ISSUE, needs_reason=True),
        step("reissue", "cause_rejected", "reissued", Action.REQUESTS_ISSUE),
        step("verify", "accepted", "verified", Action.REQUESTS_ISSUE),
        step("close", "verified", "closed", Action.REQUESTS_ISSUE),
    ),
    ended=frozenset({"closed"}),
)
