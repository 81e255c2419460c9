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

_COMPLY: Final = (
    "요청을 받은 기관의 장은 정당한 사유가 없으면 이에 따라야 합니다.",
    "The head of the agency that receives this request shall comply unless there is a justifiable cause.",
)
_ASKED: Final = ("요청을 받은 기관의 회신을 바랍니다.", "The agency is asked to reply.")
_CLOUD: Final = (
    "클라우드컴퓨팅서비스 제공자에게 협력 또는 지원을 요청합니다. 조례는 따를 의무를 정하지 않습니다.",
    "The provider is asked for cooperation or support. The ordinance lays no duty to comply on it.",
)
WORDING: Final = {article: _COMPLY if article in OBLIGES else _ASKED for article in Article} | {Article.CLOUD: _CLOUD}
"""What a request says about the duty to follow it, in Korean and in English."""

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
        step("note_receipt", "issued reissued", "received", Action.REQUESTS_DRAFT, law="CO 17(4)"),
        step("note_complied", "received", "complied", Action.REQUESTS_DRAFT, law="CO 17(4)"),
        step("note_partial", "received", "partial", Action.REQUESTS_DRAFT, needs_reason=True, law="CO 17(4)"),
        step("note_declined", "received", "cause_claimed", Action.REQUESTS_DRAFT, needs_reason=True, law="CO 17(4)"),
        step("accept", "complied partial cause_claimed", "accepted", Action.REQUESTS_ISSUE),
        step("reject_cause", "partial cause_claimed", "cause_rejected", Action.REQUESTS_ISSUE, needs_reason=True),
        step("reissue", "cause_rejected", "reissued", Action.REQUESTS_ISSUE),
        step("verify", "accepted", "verified", Action.REQUESTS_ISSUE),
        step("close", "verified", "closed", Action.REQUESTS_ISSUE),
    ),
    ended=frozenset({"closed"}),
)
UNANSWERED: Final = frozenset({"issued", "received", "reissued"})
"""States in which an answer is waited for."""
