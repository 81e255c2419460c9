"""Facts about the work with others: drills with agencies, threat information shared, and linked centres."""

from __future__ import annotations

import sqlalchemy as sa

from api.compliance.facts import Cases, Fact, Ground, cases, counted, fact
from core.permissions import Action
from respond.cases import records
from respond.centres.machine import ACTIVE
from respond.centres.machine import MACHINE as CENTRE
from respond.centres.models import Delegation, LinkedCentre
from respond.drills.machine import MACHINE as DRILL
from respond.drills.models import Drill
from respond.drills.service import readable
from respond.sharing.machine import RECEIPT, SHARE
from respond.sharing.models import Receipt, Share


@fact("drills", Action.DRILLS_READ)
def drills(ground: Ground, which: str) -> Fact:
    """Drills that were started, joint ones alone when `which` says so; they are exercises, and count here because they are the duty."""
    of_kind = (readable(ground.scope), Drill.started_at.is_not(None), *((Drill.joint.is_(True),) if which == "joint" else ()))
    counting = sa.select(
        sa.func.count().filter(Drill.started_at >= ground.since),
        sa.func.count().filter(Drill.state.not_in(DRILL.ended)),
        sa.func.max(Drill.started_at),
    )
    row = ground.session.execute(counting.where(*of_kind)).one()
    ko, en = ("합동훈련", "Joint drills") if which == "joint" else ("훈련", "Drills")
    return counted(Cases(row[0], row[1], row[2]), ko, en, "/v1/drills")


@fact("shares", Action.SHARING_READ)
def shares(ground: Ground, _argument: str) -> Fact:
    """Threat information that was released, and the recipients whose reply is overdue."""
    found = cases(ground, SHARE, Share, Share.released_at.is_not(None))
    chased = sa.select(Receipt.agency).where(
        records.within(Receipt, ground.scope), Receipt.chased_at.is_not(None), Receipt.state.not_in(RECEIPT.ended)
    )
    late = ground.session.scalars(chased.distinct().order_by(Receipt.agency)).all()
    return counted(found, "공유한 위협정보", "Threat information shared", "/v1/shares", late=late)


@fact("centres", Action.CENTRES_READ)
def centres(ground: Ground, _argument: str) -> Fact:
    """Linked centres, and the agencies that one watches whose link is down."""
    watched = sa.select(Delegation.agency).join(LinkedCentre, LinkedCentre.number == Delegation.centre)
    now = (Delegation.since <= ground.at, sa.or_(Delegation.until.is_(None), Delegation.until > ground.at))
    down = watched.where(*now, LinkedCentre.state == ACTIVE, LinkedCentre.link == "down")
    if ground.scope is not None:
        down = down.where(Delegation.agency.in_(ground.scope))
    lacking = ground.session.scalars(down.distinct().order_by(Delegation.agency)).all()
    return counted(cases(ground, CENTRE, LinkedCentre), "연계 센터", "Linked centres", "/v1/centres", lacking=lacking)
