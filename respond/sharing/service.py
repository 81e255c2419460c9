"""Sharing threat information (CO 22): drafting, releasing to whom in which form, a new version, revoking.

What is never shared, whoever asks: an exercise [trap 5], what is about a restricted incident (DSO 10), personal numbers, and what came from
others under a level that forbids it. A release is refused with the reason, and nothing has left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from core.errors import Forbidden, Invalid, NotFound
from core.permissions import Agencies
from core.signing import Signer
from respond import outbox
from respond.cases import records
from respond.incidents.sight import Sight, visible
from respond.models import Incident
from respond.sharing import publishing, receipts, stix
from respond.sharing.content import Content
from respond.sharing.machine import DRAFTS, SHARE
from respond.sharing.models import Receipt, Share
from respond.sharing.policy import LEVELS, SharingPolicy, strictest
from respond.sharing.redaction import Network, Redacted, Redactor, hidden
from respond.sharing.stix import Object, View

LOCK: Final = "sharing"
_INCIDENT: Final = "incident/"
_PUBLISHES: Final = frozenset({"release", "supersede", "revoke"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What sharing goes by: the policy, the centre's key and name, the agencies with their names, and the inside's networks.

    `personal` says which kinds of personal numbers stand in a text, and none when there are none.
    """

    policy: SharingPolicy
    signer: Signer
    centre_name: str
    agencies: Mapping[str, Sequence[str]]
    networks: Sequence[Network]
    personal: Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be shared; see `models.Share`. `agency` is whose it is."""

    kind: str
    tlp: str
    content: Content
    agency: str = ""
    about: str = ""
    recipients: tuple[str, ...] = ()
    supersedes: str = ""


def draft(session: Session, scope: Agencies, actor: str, wanted: Draft, terms: Terms, *, state: str = "") -> Share:
    """Write a share down; nobody is told before it is released.

    Invalid when it cannot be shared at all; NotFound for an incident or share out of sight; Forbidden outside the scope.
    """
    if scope is not None and wanted.agency not in scope:
        raise Forbidden("this identity drafts for its own agency only")
    _check(wanted, terms)
    incident = _incident(session, scope, actor, wanted.about)
    row = Share(**_columns(wanted), agency=wanted.agency, exercise=incident.exercise if incident else False)
    row.victim = incident.agency if incident else wanted.agency
    row.policy_version, row.first_released_at, row.released_at = "", None, None
    row.root = row.seed = ""
    if wanted.supersedes:
        _follow(session, scope, row, wanted.supersedes)
    told = {"kind": wanted.kind, "tlp": wanted.tlp, "about": wanted.about, "supersedes": wanted.supersedes}
    case = records.open_case(session, SHARE, row, actor, told, state=state)
    case.root = case.root or case.number
    case.seed = case.seed or stix.seed(terms.signer.text, case.number)
    session.flush()
    _tell(session, case, "open")
    return case


def edit(session: Session, scope: Agencies, actor: str, number: str, if_version: int, wanted: Draft, terms: Terms) -> Share:
    """Write a draft anew; whose it is, what it is about and what it follows stay."""
    _check(wanted, terms)
    step = records.begin(session, SHARE, Share, scope, number, "edit", actor=actor, if_version=if_version)
    case = step.case
    kept = (case.about, case.supersedes, case.agency)
    if kept != (wanted.about, wanted.supersedes, wanted.agency):
        raise Invalid("whose a draft is, what it is about and what it follows stay as they are: draft another")
    if case.supersedes and case.tlp != wanted.tlp:
        raise Invalid(f"{number} follows {case.supersedes} and keeps its TLP level: revoke that one and share anew")
    for name, value in _columns(wanted).items():
        setattr(case, name, value)
    return step.done({"kind": wanted.kind, "tlp": wanted.tlp})


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    terms: Terms,
    *,
    reason: str = "",
    by: str = "",
) -> Share:
    """Take any step but `edit`; `supersede` releases the draft called `by` in its place."""
    if action in _PUBLISHES:
        exclusive(session, LOCK)
    step = records.begin(session, SHARE, Share, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    case, told = step.case, dict[str, Any]()
    if action == "propose":
        _refuse(session, case, terms)
    elif action == "release":
        if case.supersedes:
            raise Invalid(f"{number} is a new version: supersede {case.supersedes} by it")
        told = _release(session, case, actor, step.at, terms)
    elif action == "supersede":
        told = {"by": _release_next(session, case, actor, by, terms)}
    elif action == "revoke":
        agencies = ["", *receipts.end_all(session, actor, number, step.reason)]
        for agency in agencies:
            publishing.revoke(session, case, agency, step.at, terms.signer)
        told = {"recipients": len(agencies) - 1}
    case = step.done(told)
    _tell(session, case, action)
    return case


def recall(session: Session, actor: str, number: str, if_version: int, terms: Terms, reason: str) -> Receipt:
    """Revoke a share at one recipient alone."""
    exclusive(session, LOCK)
    receipt = receipts.end(session, actor, number, if_version, reason)
    share = session.scalar(sa.select(Share).where(Share.number == receipt.share, Share.state == "released"))
    if share is not None:
        publishing.revoke(session, share, receipt.agency, now(session), terms.signer)
    return receipt


def look(session: Session, share: Share, recipient: str, terms: Terms) -> bytes:
    """The share as a bundle for `recipient` ('' the centre itself): as it was published, or before its release as it would be."""
    at = now(session)
    if share.state in DRAFTS or share.state == "discarded":
        objects = publishing.signed_now(objects_for(share, recipient, share.first_released_at or at, terms)[0], at, terms.signer)
    else:
        objects = publishing.of_share(session, share, recipient)
    if not objects:
        raise NotFound(f"{share.number} did not go to {recipient}")
    return publishing.bundle(objects, share)


def objects_for(share: Share, recipient: str, first: datetime, terms: Terms) -> tuple[list[Object], Redacted]:
    """The objects a recipient gets, and the content behind them. Invalid when redaction cannot take out what it must."""
    content = Content.model_validate(share.content)
    rule = terms.policy.rule(share.tlp, victim=bool(recipient) and recipient == share.victim)
    redactor = Redactor(hidden(rule, recipient, terms.agencies, terms.networks)) if recipient else None
    redacted = redactor.content(content) if redactor else Redacted(content)
    key, kind = terms.signer.text, terms.policy.kind(share.kind)
    knows = share.victim and recipient in ("", share.victim)
    victim = stix.identity(key, _named(terms, share.victim), agency=share.victim) if knows else None
    view = View(
        share.number, share.seed, recipient, share.tlp, kind.report_type if kind else "threat-report", redacted, first,
        stix.identity(key, terms.centre_name), victim,
    )  # fmt: skip
    made = stix.objects(view)
    if redactor:
        redactor.check(made)
    return made, redacted


def recipients_of(share: Share, terms: Terms) -> list[str]:
    """The agencies a share goes to: those it names, or every one but whose it is. Invalid when the level asks for names and has none."""
    if terms.policy.tlp[share.tlp].reach == "named" and not share.recipients:  # type: ignore[index]
        raise Invalid(f"TLP:{share.tlp.upper()} goes to named recipients only: name them")
    return sorted(set(share.recipients or terms.agencies) - {share.agency})


def _release_next(session: Session, case: Share, actor: str, by: str, terms: Terms) -> str:
    """Release the draft `by`, which follows `case`; what `case` said and `by` does not is revoked, everything at those `by` leaves out."""
    following = session.scalar(sa.select(Share).where(Share.number == by).with_for_update())
    if following is None or following.supersedes != case.number:
        raise Invalid(f"{by or 'nothing'} is no draft that follows {case.number}")
    receipts.end_all(session, actor, case.number, f"superseded by {by}")
    step = records.begin(session, SHARE, Share, None, by, "release", actor=actor, if_version=following.version)
    told = _release(session, step.case, actor, step.at, terms)
    left_out = {one.agency for one in receipts.of_share(session, None, case.number)} - set(told["to"])
    for agency in sorted(left_out):
        publishing.revoke(session, step.case, agency, step.at, terms.signer)
    _tell(session, step.done(told), "release")
    return by


def _release(session: Session, case: Share, actor: str, at: datetime, terms: Terms) -> dict[str, Any]:
    _refuse(session, case, terms)
    agencies = recipients_of(case, terms)
    case.released_at, case.first_released_at = at, case.first_released_at or at
    case.policy_version = terms.policy.version
    for agency in ["", *agencies]:
        objects, redacted = objects_for(case, agency, case.first_released_at, terms)
        publishing.publish(session, case, agency, objects, at, terms.signer)
        if agency:
            receipts.send(session, actor, case, agency, redacted.content.title, terms.policy)
    return {"to": agencies, "tlp": case.tlp, "policy": terms.policy.version}


def _refuse(session: Session, case: Share, terms: Terms) -> None:
    """Invalid when this must not leave the centre."""
    if case.exercise:
        raise Invalid(f"{case.number} is about an exercise, which never leaves the centre")
    incident = session.scalar(sa.select(Incident).where(Incident.number == case.about.removeprefix(_INCIDENT)))
    if incident is not None and (incident.restricted or incident.exercise):
        raise Invalid(f"{case.about} is {'restricted' if incident.restricted else 'an exercise'}: nothing of it is shared")
    content = Content.model_validate(case.content)
    _check_content(content, case.tlp, terms)


def _check(wanted: Draft, terms: Terms) -> None:
    if terms.policy.kind(wanted.kind) is None:
        raise Invalid(f"there is no kind {wanted.kind!r}; there are {', '.join(one.id for one in terms.policy.kinds)}")
    if wanted.tlp not in LEVELS:
        raise Invalid(f"there is no TLP level {wanted.tlp!r}; there are {', '.join(LEVELS)}")
    if unknown := set(wanted.recipients) - set(terms.agencies):
        raise Invalid(f"there is no agency {', '.join(sorted(unknown))}")
    _check_content(wanted.content, wanted.tlp, terms)


def _check_content(content: Content, tlp: str, terms: Terms) -> None:
    if found := terms.personal(content.model_dump_json()):
        raise Invalid(f"it holds personal numbers ({', '.join(found)}), which are never shared: take them out")
    from_others = [one for one in content.indicators if one.source and one.tlp]
    for one in from_others:
        if not terms.policy.tlp[one.tlp].onward:  # type: ignore[index]
            raise Invalid(f"{one.value} came from {one.source} under TLP:{str(one.tlp).upper()}, which may not be shared on")
    needed = strictest([str(one.tlp) for one in content.indicators if one.tlp])
    if strictest([needed, tlp]) != tlp:
        raise Invalid(f"what it holds is TLP:{needed.upper()}: share it under that level or a stricter one")


def _incident(session: Session, scope: Agencies, actor: str, about: str) -> Incident | None:
    if not about:
        return None
    number = about.removeprefix(_INCIDENT)
    found = session.scalar(sa.select(Incident).where(Incident.number == number, visible(Sight(scope, actor))))
    if found is None or number == about:
        raise NotFound(f"there is no incident {number}")
    if found.restricted:
        raise Invalid(f"{about} is restricted: nothing of it is shared")
    return found


def _follow(session: Session, scope: Agencies, row: Share, number: str) -> None:
    before = records.find(session, SHARE, Share, scope, number)
    if before.state != "released":
        raise Invalid(f"{number} is {before.state}: only what is released has a new version")
    if (before.agency, before.tlp) != (row.agency, row.tlp):
        raise Invalid(f"a new version of {number} is of the same agency and TLP level: revoke it and share anew")
    row.root, row.seed, row.first_released_at = before.root, before.seed, before.first_released_at
    row.about, row.victim = before.about, before.victim


def _columns(wanted: Draft) -> dict[str, Any]:
    return {
        **{"kind": wanted.kind, "tlp": wanted.tlp, "about": wanted.about, "supersedes": wanted.supersedes},
        "title": wanted.content.title,
        "recipients": sorted(set(wanted.recipients)),
        "content": wanted.content.model_dump(mode="json"),
    }


def _named(terms: Terms, agency: str) -> str:
    """An agency's name for people abroad of us: the English one, the Korean one, or its id."""
    return next((name for name in reversed(terms.agencies.get(agency, ())) if name), agency)


def _tell(session: Session, case: Share, action: str) -> None:
    data = {"tlp": case.tlp, "kind": case.kind}
    outbox.tell(session, f"share.{action}", records.named(SHARE, case.number), agency=case.agency, exercise=case.exercise, data=data)
