"""Investigating an accident: what was found out, in versions, and who held which evidence since when.

- Findings are whole: each version says all that is known (perpetrator, cause, damage, timeline), and nothing changes an older one.
- Custody is a chain of hashes in the order it was recorded; whoever hands a thing over states its SHA-256 again, and a difference is
  recorded (`intact` false), never refused: that it happened is what must be known.
- Names of holders stay in the chain; trail, history and news carry only numbers and hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from core.permissions import Agencies
from respond import audit, outbox
from respond.cases import records
from respond.cases.canonical import canonical, instant_text, sha256
from respond.cases.records import Taken
from respond.incidents.queries import get_incident
from respond.incidents.sight import Sight
from respond.investigations.machine import MACHINE
from respond.investigations.models import Custody, Findings, Investigation

FIELDS: Final = ("perpetrator", "cause", "damage", "timeline")
TAKEN: Final = "taken"
HANDED_OVER: Final = "handed_over"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Handling:
    """Who has a thing since when. `item` is its number, 0 for one that is taken now; `description` is of the taking."""

    holder: str
    place: str
    sha256: str
    at: datetime
    item: int = 0
    description: str = ""


def start(session: Session, scope: Agencies, actor: str, incident: str) -> Investigation:
    """Begin to investigate an incident. NotFound outside the scope; Conflict when it was merged into another."""
    found = get_incident(session, Sight(scope, actor), incident).incident
    if found.merged_into:
        raise Conflict(f"{incident} was merged into {found.merged_into}: investigate that")
    about = f"incident/{incident}"
    row = Investigation(agency=found.agency, exercise=found.exercise, about=about, findings={}, versions=0, evidence=0)
    return records.open_case(session, MACHINE, row, actor, {"about": about})


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    findings: Mapping[str, Any] | None = None,
    handling: Handling | None = None,
) -> Investigation:
    """Take a step: `findings` for record_findings, `handling` for take_evidence and hand_over."""
    step = records.begin(session, MACHINE, Investigation, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    told: dict[str, Any] = {}
    if action == "record_findings":
        told = _written(step, findings or {})
    elif action in ("take_evidence", "hand_over"):
        if handling is None:
            raise Invalid(f"to {action} needs who holds what since when")
        told = _taken(step, handling) if action == "take_evidence" else _handed_over(step, handling)
    elif action == "conclude":
        _check_whole(step.case)
    case = step.done(told)
    name = records.named(MACHINE, number)
    outbox.tell(session, f"investigation.{action}", name, agency=case.agency, exercise=case.exercise, data={"about": case.about})
    return case


def versions(session: Session, case: Investigation) -> Sequence[Findings]:
    """Every version of the findings, oldest first."""
    return session.scalars(sa.select(Findings).where(Findings.investigation_id == case.id).order_by(Findings.number)).all()


def custody(session: Session, case: Investigation) -> Sequence[Custody]:
    """The chain of custody in the order it was recorded."""
    return session.scalars(sa.select(Custody).where(Custody.investigation_id == case.id).order_by(Custody.number)).all()


def broken_link(number: str, chain: Iterable[Custody]) -> int:
    """The number of the first link that is not as it was recorded, or missing; 0 when the chain of investigation `number` is whole."""
    head = audit.GENESIS
    for count, link in enumerate(chain, 1):
        if link.number != count or link.prev_hash != head or link.hash != link_hash(number, link):
            return count
        head = link.hash
    return 0


def link_hash(number: str, link: Custody) -> str:
    """SHA-256 (hex) of the canonical JSON of a link's columns, the investigation's number and the hash before it."""
    names = ("number", "item", "event", "description", "holder", "place", "evidence_sha256", "intact", "recorded_by", "prev_hash")
    times = {name: instant_text(getattr(link, name)) for name in ("at", "recorded_at")}
    return sha256(canonical({"investigation": number, **{name: getattr(link, name) for name in names}, **times}))


def _written(step: Taken[Investigation], given: Mapping[str, Any]) -> dict[str, Any]:
    case = step.case
    case.findings = {**dict.fromkeys(FIELDS[:3], ""), "timeline": [], **case.findings, **given}
    if unknown := case.findings.keys() - set(FIELDS):
        raise Invalid(f"findings have no {', '.join(sorted(unknown))}")
    case.versions += 1
    text = canonical(case.findings)
    written = Findings(
        investigation_id=case.id,
        number=case.versions,
        content=text,
        sha256=sha256(text),
        written_at=step.at,
        written_by=step.actor,
    )
    step.session.add(written)
    return {"findings_version": written.number, "sha256": written.sha256}


def _check_whole(case: Investigation) -> None:
    if missing := [name for name in FIELDS if not case.findings.get(name)]:
        raise Invalid(f"to conclude needs findings on {', '.join(missing)}; say so where something could not be found out")


def _taken(step: Taken[Investigation], given: Handling) -> dict[str, Any]:
    if not given.description.strip():
        raise Invalid("evidence is taken with a description")
    step.case.evidence += 1
    return _link(step, given, TAKEN, step.case.evidence, given.description.strip(), intact=True)


def _handed_over(step: Taken[Investigation], given: Handling) -> dict[str, Any]:
    mine = (Custody.investigation_id == step.case.id) & (Custody.item == given.item)
    links = step.session.scalars(sa.select(Custody).where(mine).order_by(Custody.number)).all()
    if not links:
        raise Invalid(f"{step.case.number} has no evidence {given.item}")
    if given.at < links[-1].at:
        raise Invalid(f"evidence {given.item} was with somebody else until later: it was handed over before it came")
    intact = given.sha256 == links[0].evidence_sha256
    return _link(step, given, HANDED_OVER, given.item, links[0].description, intact=intact)


def _link(step: Taken[Investigation], given: Handling, event: str, item: int, description: str, *, intact: bool) -> dict[str, Any]:
    if not _SHA256.fullmatch(given.sha256):
        raise Invalid("sha256 is 64 hex digits in lower case")
    if not given.holder.strip():
        raise Invalid("say who holds it")
    if given.at > step.at:
        raise Invalid("at lies in the future")
    before = step.session.execute(
        sa.select(Custody.number, Custody.hash).where(Custody.investigation_id == step.case.id).order_by(Custody.number.desc()).limit(1)
    ).one_or_none()
    last, head = before or (0, audit.GENESIS)
    link = Custody(
        investigation_id=step.case.id,
        number=last + 1,
        item=item,
        event=event,
        description=description,
        holder=given.holder.strip(),
        place=given.place.strip(),
        evidence_sha256=given.sha256,
        intact=intact,
        at=given.at.astimezone(UTC),
        recorded_at=step.at,
        recorded_by=step.actor,
        prev_hash=head,
        hash="",
    )
    link.hash = link_hash(step.case.number, link)
    step.session.add(link)
    return {"item": item, "link": link.number, "evidence_sha256": given.sha256, "intact": intact, "hash": link.hash}
