"""Data already submitted that a duty uses (article 25(3), and so for any kind [ours]): which record, in which version, with which hash.

What is cited is looked up in this centre's records and must concern the same agency. A drill counts
for every agency that took part in it, once it is scored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid
from respond.drills.models import Drill, Party
from respond.duties.models import Duty
from respond.reports.models import Report, ReportVersion
from respond.requests.models import Request

LONGEST_NOTE: Final = 1000
MOST: Final = 100
_NAME: Final = re.compile(r"(report|request|duty|drill)/([A-Z]{3}-\d{4}-\d{6,12})")
_NOT_ANSWERED: Final = frozenset({"draft", "issued", "received", "cause_rejected", "reissued"})

Looked = tuple[str, int, str]
"""Agency, version and SHA-256 ('' where the record has none)."""


def looked_up(session: Session, agency: str, name: str) -> dict[str, Any]:
    """What is kept of the record `name` (`report/RPT-2026-000001`) as data of `agency`. Invalid when there is no such data."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise Invalid("cite a report, a request, a duty or a drill, such as report/RPT-2026-000001")
    kind, number = found.groups()
    looked = _drill(session, number, agency) if kind == "drill" else _LOOK[kind](session, number)
    if looked is None or (agency and looked[0] != agency):
        raise Invalid(
            f"there is no {kind} {number} with data of {agency or 'an agency'}: it is unknown, another agency's, or not submitted"
        )
    return {"object": name, "version": looked[1], "sha256": looked[2]}


def _report(session: Session, number: str) -> Looked | None:
    query = sa.select(Report.agency, ReportVersion.number, ReportVersion.sha256).where(
        Report.number == number, ReportVersion.report_id == Report.id
    )
    row = session.execute(query.order_by(ReportVersion.number.desc()).limit(1)).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def _request(session: Session, number: str) -> Looked | None:
    query = sa.select(Request.agency, Request.version).where(Request.number == number, Request.state.not_in(_NOT_ANSWERED))
    row = session.execute(query).one_or_none()
    return None if row is None else (row[0], row[1], "")


def _duty(session: Session, number: str) -> Looked | None:
    row = session.execute(sa.select(Duty.agency, Duty.version).where(Duty.number == number, Duty.state == "done")).one_or_none()
    return None if row is None else (row[0], row[1], "")


def _drill(session: Session, number: str, agency: str) -> Looked | None:
    query = sa.select(Party.agency, Drill.version).join(Party, Party.drill == Drill.number)
    scored = (Drill.number == number, Drill.state.in_(("scored", "corrective_requested", "closed")))
    of_agency = (Party.agency == agency,) if agency else ()
    row = session.execute(query.where(*scored, *of_agency).order_by(Party.id).limit(1)).one_or_none()
    return None if row is None else (row[0], row[1], "")


_LOOK: Final[Mapping[str, Callable[[Session, str], Looked | None]]] = {"report": _report, "request": _request, "duty": _duty}
