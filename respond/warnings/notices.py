"""A warning at one agency: it acknowledges, ticks off the level's measures with proof, and is done.

The targets for both are the centre's own (clocks `acknowledge` and `measures`, basis `target`) and start when the notice is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid
from core.permissions import Agencies
from respond import checklists, outbox
from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.checklists import Proof
from respond.warnings.levels import Levels, effects
from respond.warnings.machine import NOTICE
from respond.warnings.models import Notice, Warning  # noqa: A004 - the ordinance's word

ACKNOWLEDGE = "acknowledge"
MEASURES = "measures"


def give(session: Session, actor: str, warning: Warning, agency: str, levels: Levels) -> Notice:
    """Give `agency` notice of a warning that was just propagated."""
    level = levels.find(warning.level)
    row = Notice(
        agency=agency,
        exercise=warning.exercise,
        warning=warning.number,
        level=warning.level,
        table_version=levels.version,
        measures=checklists.copied(level.agencies),
        acknowledged_at=None,
        done_at=None,
    )
    case = records.open_case(session, NOTICE, row, actor, {"warning": warning.number, "level": warning.level})
    told = effects(levels, warning.level)
    for name, minutes in ((ACKNOWLEDGE, told.acknowledge_minutes), (MEASURES, told.measures_minutes)):
        clocks.start(
            session,
            records.named(NOTICE, case.number),
            agency,
            name,
            basis=Basis.TARGET,
            source=f"levels {levels.version}, {warning.level}",
            started_at=case.created_at,
            due_at=case.created_at + timedelta(minutes=minutes) if minutes else None,
            exercise=case.exercise,
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
    proof: Proof | None = None,
) -> Notice:
    """Take a step of an agency's notice; `prove` needs a proof."""
    step = records.begin(session, NOTICE, Notice, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    case, name = step.case, records.named(NOTICE, number)
    if action == "acknowledge":
        case.acknowledged_at = step.at
        clocks.stop(session, name, ACKNOWLEDGE, step.at)
    elif action == "prove":
        if proof is None:
            raise Invalid("say which measure is done, and what shows it")
        case.measures = checklists.ticked(case.measures, proof, actor, step.at)
    elif action == "complete":
        if left := checklists.left(case.measures):
            raise Invalid(f"not everything is done: {', '.join(left)}")
        case.done_at = step.at
    if action in ("complete", "release"):
        clocks.stop_all(session, name, step.at)
    case = step.done({"measure": proof.measure, "applies": proof.applies, "sha256": proof.sha256} if proof else {})
    _tell(session, case, action)
    return case


def hold(session: Session, warnings: Sequence[str]) -> None:
    """Lock the notices of `warnings`: rows before the trail, as everywhere, so that nobody waits for one another for ever."""
    session.scalars(sa.select(Notice).where(Notice.warning.in_(warnings)).order_by(Notice.id).with_for_update()).all()


def end_all(session: Session, actor: str, warning: Warning) -> None:
    """Release the agencies that are not done of a warning that has ended; the caller holds the notices."""
    for case in session.scalars(_open_ones(warning.number).order_by(Notice.id)).all():
        take(session, None, actor, case.number, "release", case.version, reason=f"{warning.number} has ended: {warning.state}")


def waiting_for(session: Session, warning: str) -> Sequence[str]:
    """The agencies that are not done, in order."""
    return session.scalars(_open_ones(warning).with_only_columns(Notice.agency).order_by(Notice.agency)).all()


def of_warning(session: Session, scope: Agencies, warning: str) -> Sequence[Notice]:
    """The notices of a warning within a scope, by agency."""
    query = sa.select(Notice).where(Notice.warning == warning, records.within(Notice, scope))
    return session.scalars(query.order_by(Notice.agency, Notice.id)).all()


def _open_ones(warning: str) -> sa.Select[Notice]:
    return sa.select(Notice).where(Notice.warning == warning, Notice.state.not_in(NOTICE.ended))


def _tell(session: Session, case: Notice, action: str) -> None:
    name = records.named(NOTICE, case.number)
    data = {"warning": case.warning, "level": case.level}
    outbox.tell(session, f"warning_notice.{action}", name, agency=case.agency, exercise=case.exercise, data=data)
