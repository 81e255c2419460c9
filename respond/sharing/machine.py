"""The machines of sharing [ours; article 22 names no states]: the shared item, and its receipt at each recipient.

A released item is never edited: a new version is a draft of its own that supersedes it, and what is wrong is revoked. Nothing but
`supersede` releases a draft that follows another.
"""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

DRAFTS: Final = frozenset({"drafted", "proposed"})
_DRAFTS: Final = "drafted proposed"

SHARE: Final = Machine(
    kind="share",
    prefix="SHR",
    initial="drafted",
    also_initial=frozenset({"proposed"}),
    steps=(
        step("edit", "drafted", "", Action.SHARING_WRITE),
        step("propose", "drafted", "proposed", Action.SHARING_WRITE),
        step("send_back", "proposed", "drafted", Action.SHARING_RELEASE, needs_reason=True),
        step("discard", _DRAFTS, "discarded", Action.SHARING_WRITE, needs_reason=True),
        step("release", _DRAFTS, "released", Action.SHARING_RELEASE, law="CO 22(1)"),
        step("supersede", "released", "superseded", Action.SHARING_RELEASE, law="CO 22(1)"),
        step("revoke", "released", "revoked", Action.SHARING_RELEASE, needs_reason=True, law="CO 22(2)"),
    ),
    ended=frozenset({"discarded", "superseded", "revoked"}),
)

RECEIPT: Final = Machine(
    kind="share_receipt",
    prefix="SRC",
    initial="sent",
    steps=(
        step("collect", "sent", "collected", Action.SHARING_WRITE),
        step("receive", "sent collected", "received", Action.SHARING_WRITE),
        step("reply", "sent collected received replied", "replied", Action.SHARING_WRITE),
        step("recall", "sent collected received replied", "recalled", Action.SHARING_RELEASE, needs_reason=True, law="CO 22(2)"),
    ),
    ended=frozenset({"replied", "recalled"}),
)
UNANSWERED: Final = frozenset({"sent", "collected", "received"})
"""States in which a reply is waited for."""
