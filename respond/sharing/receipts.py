"""A share at one recipient: sent, collected by its machine, received by a person, answered with what was done; chased when it is not.

The target for the answer is the centre's own (clock `reply`, basis `target`), from the policy's level; article 22 gives no time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.errors import Invalid
from core.permissions import Agencies
from respond import outbox
from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.cases.models import CaseClock
from respond.sharing.machine import RECEIPT, UNANSWERED
from respond.sharing.models import Receipt, Share
from respond.sharing.policy import SharingPolicy

REPLY: Final = "reply"
_CHASER: Final = "system:sharing"
_AT_A_TIME: Final = 500


class Done(StrEnum):
    """What a recipient did about a share [ours]. The words are stored."""

    TAKEN = "taken"
    PARTLY = "partly"
    NOT_CONCERNED = "not_concerned"
    NOT_POSSIBLE = "not_possible"


def send(session: Session, actor: str, share: Share, agency: str, title: str, policy: SharingPolicy) -> Receipt:
    """Let an agency have a share that was just released; `title` is what it may see of its title."""
    row = Receipt(
        **{"agency": agency, "exercise": False, "share": share.number, "title": title, "tlp": share.tlp, "reply": {}},
        **{"collected_at": None, "received_at": None, "replied_at": None, "chased_at": None},
    )
    case = records.open_case(session, RECEIPT, row, actor, {"share": share.number, "tlp": share.tlp})
    hours = policy.tlp[share.tlp].reply_hours  # type: ignore[index]
    clocks.start(
        session,
        records.named(RECEIPT, case.number),
        agency,
        REPLY,
        basis=Basis.TARGET,
        source=f"sharing policy {policy.version}, TLP:{share.tlp.upper()}",
        started_at=case.created_at,
        due_at=case.created_at + timedelta(hours=hours) if hours else None,
    )
    _tell(session, case, "open")
    return case


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    done: Done | None = None,
) -> Receipt:
    """Take any step but `recall`; `reply` says what was done, the reason says it in words. Invalid when it says nothing."""
    step = records.begin(session, RECEIPT, Receipt, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    case, told = step.case, dict[str, Any]()
    if action == "collect":
        case.collected_at = step.at
    elif action == "receive":
        case.received_at = step.at
    else:
        if done is None:
            raise Invalid("say what was done: taken, partly, not_concerned or not_possible")
        if done in (Done.PARTLY, Done.NOT_POSSIBLE) and not step.reason:
            raise Invalid(f"{done} needs a reason")
        case.received_at, case.replied_at = case.received_at or step.at, step.at
        case.reply = {"done": done.value, "reason": step.reason, "by": actor}
        told = {"done": done.value}
        clocks.stop(session, records.named(RECEIPT, number), REPLY, step.at)
    case = step.done(told)
    if action != "collect":
        _tell(session, case, action, told)
    return case


def end(session: Session, actor: str, number: str, if_version: int, reason: str) -> Receipt:
    """Recall a share from one recipient: its clock stops, and it is told. The caller revokes what was published to it."""
    step = records.begin(session, RECEIPT, Receipt, None, number, "recall", actor=actor, if_version=if_version, reason=reason)
    clocks.stop_all(session, records.named(RECEIPT, number), step.at)
    case = step.done({"share": step.case.share})
    _tell(session, case, "recall")
    return case


def end_all(session: Session, actor: str, share: str, reason: str) -> list[str]:
    """Recall a share from every recipient that still has it; the agencies."""
    query = sa.select(Receipt).where(Receipt.share == share, Receipt.state != "recalled").order_by(Receipt.id)
    rows = session.scalars(query.with_for_update()).all()  # every row before the trail is locked by the first of them
    return [end(session, actor, one.number, one.version, reason).agency for one in rows]


def of_share(session: Session, scope: Agencies, share: str) -> Sequence[Receipt]:
    """The receipts of a share within a scope, by agency."""
    query = sa.select(Receipt).where(Receipt.share == share, records.within(Receipt, scope))
    return session.scalars(query.order_by(Receipt.agency)).all()


def uncollected(session: Session, agency: str, shares: Collection[str]) -> bool:
    """Whether the agency's machine fetches something of `shares` for the first time."""
    return bool(shares) and session.scalar(_sent(agency, shares).limit(1)) is not None


def collected(session: Session, agency: str, actor: str, shares: Collection[str]) -> None:
    """Note that the agency's machine has fetched what belongs to `shares`."""
    for row in session.scalars(_sent(agency, shares).order_by(Receipt.id).with_for_update()).all():
        take(session, frozenset({agency}), actor, row.number, "collect", row.version)


def chase(session: Session, policy: SharingPolicy) -> int:
    """Remind recipients whose answer is overdue, again every `chase_hours`; how many were reminded."""
    at = now(session)
    name = sa.literal(f"{RECEIPT.kind}/", CaseClock.object.type) + Receipt.number
    again = sa.or_(Receipt.chased_at.is_(None), Receipt.chased_at <= at - timedelta(hours=policy.chase_hours))
    query = sa.select(Receipt).join(CaseClock, sa.and_(CaseClock.object == name, CaseClock.name == REPLY))
    late = (Receipt.state.in_(UNANSWERED), again, CaseClock.stopped_at.is_(None), CaseClock.due_at < at)
    rows = session.scalars(query.where(*late).order_by(Receipt.id).limit(_AT_A_TIME).with_for_update(of=Receipt)).all()
    for case in rows:
        case.chased_at = at
        records.note(session, RECEIPT, case, _CHASER, "chase", {"share": case.share})
        _tell(session, case, "chase")
    return len(rows)


def _sent(agency: str, shares: Collection[str]) -> sa.Select[Receipt]:
    return sa.select(Receipt).where(Receipt.agency == agency, Receipt.state == RECEIPT.initial, Receipt.share.in_(shares))


def _tell(session: Session, case: Receipt, action: str, data: Mapping[str, Any] | None = None) -> None:
    told = {"share": case.share, "tlp": case.tlp, **(data or {})}
    outbox.tell(session, f"share_receipt.{action}", records.named(RECEIPT, case.number), agency=case.agency, data=told)
