"""Facts about personal information: cases, their tracks, masking, and who read what was restricted."""

from __future__ import annotations

from urllib.parse import quote

import sqlalchemy as sa

from api.compliance.facts import Fact, Ground, State, cases, counted, fact
from core.permissions import Action
from respond.cases.clocks import Basis
from respond.cases.models import CaseClock
from respond.models import Audit
from respond.personal.disclosure import READING
from respond.personal.machine import CASE, TRACKS
from respond.personal.models import PersonalCase, PersonalTrack
from respond.personal.packs import Track


@fact("personal", *READING)
def personal(ground: Ground, _argument: str) -> Fact:
    """Personal-information cases."""
    return counted(cases(ground, CASE, PersonalCase), "개인정보 사건", "Personal-information cases", "/v1/personal-cases")


@fact("tracks", *READING)
def tracks(ground: Ground, name: str) -> Fact:
    """One track of those cases (notice, posting, report, ...), and the agencies whose time by the rule pack has passed."""
    machine = TRACKS[Track(name)]
    late = sa.select(CaseClock.agency).where(
        CaseClock.object.startswith(f"{machine.kind}/", autoescape=True),
        CaseClock.basis == Basis.PACK.value,
        CaseClock.stopped_at.is_(None),
        CaseClock.due_at <= ground.at,
    )
    if ground.scope is not None:
        late = late.where(CaseClock.agency.in_(ground.scope))
    behind = ground.session.scalars(late.distinct().order_by(CaseClock.agency)).all()
    found = cases(ground, machine, PersonalTrack, PersonalTrack.track == name)
    ko = {"containment": "확산 방지", "notice": "통지", "posting": "게시", "report": "신고", "possible_notice": "유출 가능성 통지"}[name]
    return counted(found, f"개인정보 유출 {ko}", f"Tracks of {name.replace('_', ' ')}", "/v1/personal-cases", late=behind)


@fact("masking", Action.COUNTERS_READ)
def masking(ground: Ground, _argument: str) -> Fact:
    """Which kinds of secrets are starred out of lines before anything is stored."""
    off = sorted(ground.settings.intake.masking.off)
    ko = f"수집 시 마스킹 꺼짐: {', '.join(off)}" if off else "주민등록번호·카드번호·비밀번호를 수집 시 모두 마스킹"
    en = (
        f"Masking at intake is off for {', '.join(off)}" if off else "Registration numbers, card numbers and passwords are masked at intake"
    )
    return Fact(State.PARTLY if off else State.MET, ko, en, "/v1/coverage", len(off))


@fact("restricted", Action.AUDIT_READ)
def restricted(ground: Ground, _argument: str) -> Fact:
    """Audited readings and searches of restricted incidents and those with personal data, this year."""
    of_reading = (Audit.action.in_(("incident.read", "incident.search")), Audit.at >= ground.since)
    query = sa.select(sa.func.count(), sa.func.max(Audit.at)).where(*of_reading)
    if ground.scope is not None:
        query = query.where(Audit.agency.in_(ground.scope))
    count, last_at = ground.session.execute(query).one()
    return Fact(
        State.MET if count else State.NOTHING,
        f"올해 기록된 열람·검색 {count}건",
        f"{count} readings and searches recorded this year",
        f"/v1/audit?action={quote('incident.read')}",
        count,
        last_at,
    )
