"""Facts about the work of the centre: requests, duties, incidents, reports, warnings, teams, blocks and indicators."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import sqlalchemy as sa

from api import disclosure
from api.compliance.facts import Cases, Fact, Ground, State, cases, counted, fact
from core.permissions import Action
from detect.indicators.tables import IndicatorImport
from respond.blocks.machine import MACHINE as BLOCK
from respond.blocks.models import Block
from respond.cases import records
from respond.cases.models import CaseClock
from respond.duties import policy, standing
from respond.duties.machine import Kind
from respond.incidents.machine import MACHINE as INCIDENT
from respond.incidents.sight import visible
from respond.investigations.machine import MACHINE as INVESTIGATION
from respond.investigations.models import Investigation
from respond.models import Incident
from respond.reports.machine import MACHINE as REPORT
from respond.reports.models import Report
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.machine import UNANSWERED
from respond.requests.models import Request
from respond.teams.machine import MACHINE as TEAM
from respond.teams.models import Team
from respond.teams.service import ACCIDENTS
from respond.warnings.machine import MACHINE as WARNING
from respond.warnings.machine import NOTICE
from respond.warnings.models import Notice
from respond.warnings.models import Warning as NationalWarning
from respond.warnings.service import readable


@fact("requests", Action.REQUESTS_READ)
def requests(ground: Ground, article: str) -> Fact:
    """Requests of one article that were issued, and the agencies whose answer is overdue."""
    of_article = (Request.article == article, Request.state != REQUEST.initial)
    late = sa.select(Request.agency).where(
        *of_article,
        records.within(Request, ground.scope),
        Request.exercise.is_(False),
        Request.state.in_(UNANSWERED),
        Request.due_at < ground.at,
    )
    found = ground.session.scalars(late.distinct().order_by(Request.agency)).all()
    ko, en, link = f"조례 {article}에 따른 요청", f"Requests of article {article}", f"/v1/requests?article={quote(article)}"
    return counted(cases(ground, REQUEST, Request, *of_article), ko, en, link, late=found)


@fact("duties", Action.DUTIES_READ)
def duties(ground: Ground, kind: str) -> Fact:
    """This year's duties of one kind: at how many agencies done, who is overdue, who lacks one."""
    found = standing.of_year(ground.session, ground.scope, Kind(kind), ground.year, ground.at)
    named = policy.load(ground.settings.respond.duties).kinds[Kind(kind)]
    lacking = sorted(set(ground.agencies) - set(found.done))
    done = len(set(ground.agencies) - set(lacking))
    if found.late:
        state = State.OVERDUE
    elif ground.agencies and not lacking and not found.open:
        state = State.MET
    else:
        state = State.PARTLY if found.done or found.open or found.waived else State.NOTHING
    return Fact(
        state,
        f"{named.ko} {ground.year}년: {len(ground.agencies)}개 기관 중 {done}개 완료, "
        f"진행 {found.open}건, 기한 경과 {len(found.late)}곳, 면제 {found.waived}건",
        f"{named.en} {ground.year}: done at {done} of {len(ground.agencies)} agencies, {found.open} open, "
        f"{len(found.late)} overdue, {found.waived} waived",
        f"/v1/duties?kind={kind}&year={ground.year}",
        done,
        found.last_at,
        tuple(found.late) or tuple(lacking),
    )


@fact("incidents", Action.INCIDENTS_READ)
def incidents(ground: Ground, _argument: str) -> Fact:
    """Incidents opened this year, and those still worked on."""
    seen = (visible(disclosure.common_sight(ground.caller)), Incident.merged_into_id.is_(None))
    return counted(cases(ground, INCIDENT, Incident, *seen), "사고", "Incidents", "/v1/incidents")


@fact("investigations", Action.INCIDENTS_READ)
def investigations(ground: Ground, _argument: str) -> Fact:
    """Investigations of accidents."""
    return counted(cases(ground, INVESTIGATION, Investigation), "사고 조사", "Investigations", "/v1/investigations")


@fact("blocks", Action.BLOCKS_READ)
def blocks(ground: Ground, _argument: str) -> Fact:
    """Blocks that a second person approved."""
    approved = cases(ground, BLOCK, Block, Block.approved_by != "")
    return counted(approved, "승인된 차단", "Approved blocks", "/v1/blocks")


@fact("reports", Action.REPORTS_READ)
def reports(ground: Ground, _argument: str) -> Fact:
    """Accident reports submitted this year, those past the centre's own target, and agencies of accidents without any."""
    sent = (Report.state != REPORT.initial,)
    found = cases(ground, REPORT, Report, *sent)
    late = (Report.late_seconds > 0, Report.submitted_at >= ground.since, Report.exercise.is_(False))
    missed = ground.session.scalar(sa.select(sa.func.count()).where(records.within(Report, ground.scope), *sent, *late)) or 0
    lacking = _without_report(ground)
    target = ground.settings.respond.reports.target_hours
    behind = _without_report(ground, timedelta(hours=target)) if target else []
    state = State.OVERDUE if behind else State.PARTLY if lacking or missed else State.MET if found.last_at else State.NOTHING
    return Fact(
        state,
        f"올해 제출 {found.count}건(센터 자체 목표 경과 {missed}건), 보고 없는 확정 사고 기관 {len(lacking)}곳",
        f"{found.count} submitted this year ({missed} past the centre's own target), {len(lacking)} agencies with a confirmed accident "
        "and no report",
        "/v1/reports",
        found.count,
        found.last_at,
        tuple(behind or lacking),
    )


def _without_report(ground: Ground, aware_before: timedelta = timedelta(0)) -> list[str]:
    """Agencies of confirmed accidents without a submitted report, of which they learned longer ago than `aware_before`."""
    named = sa.select(Report.about).where(Report.state != REPORT.initial)
    query = sa.select(Incident.agency).where(
        visible(disclosure.common_sight(ground.caller)),
        Incident.exercise.is_(False),
        Incident.merged_into_id.is_(None),
        Incident.state.in_(ACCIDENTS),
        sa.func.coalesce(Incident.agency_aware_at, Incident.agency_told_at, Incident.centre_aware_at) <= ground.at - aware_before,
        (sa.literal("incident/") + Incident.number).not_in(named),
    )
    return list(ground.session.scalars(query.distinct().order_by(Incident.agency)))


@fact("warnings", Action.WARNINGS_READ)
def warnings(ground: Ground, _argument: str) -> Fact:
    """National warnings recorded this year, and agencies that have not acknowledged, or not within the centre's target."""
    mine = (readable(ground.scope), NationalWarning.exercise.is_(False))
    row = ground.session.execute(
        sa.select(
            sa.func.count().filter(NationalWarning.created_at >= ground.since),
            sa.func.count().filter(NationalWarning.state.not_in(WARNING.ended)),
            sa.func.max(NationalWarning.created_at),
        ).where(*mine)
    ).one()
    waiting = sa.select(Notice.agency).where(
        records.within(Notice, ground.scope), Notice.exercise.is_(False), Notice.state == NOTICE.initial
    )
    passed = (CaseClock.object == sa.literal(f"{NOTICE.kind}/") + Notice.number, CaseClock.due_at <= ground.at)
    late = waiting.join(CaseClock, sa.and_(*passed, CaseClock.stopped_at.is_(None)))
    return counted(
        Cases(row[0], row[1], row[2]),
        "국가 경보 기록",
        "National warnings recorded",
        "/v1/warning-notices?state=propagated",
        late=_agencies(ground, late),
        lacking=_agencies(ground, waiting),
    )


def _agencies(ground: Ground, query: sa.Select[str]) -> list[str]:
    return list(ground.session.scalars(query.distinct().order_by(Notice.agency)))


@fact("teams", Action.TEAMS_READ)
def teams(ground: Ground, _argument: str) -> Fact:
    """Emergency teams asked for or proposed."""
    return counted(cases(ground, TEAM, Team), "비상대책반", "Emergency teams", "/v1/teams")


@fact("indicators", Action.INDICATORS_READ)
def indicators(ground: Ground, _argument: str) -> Fact:
    """Feeds of threat information taken in this year."""
    row = ground.session.execute(
        sa.select(
            sa.func.count().filter(IndicatorImport.started_at >= ground.since),
            sa.func.count().filter(IndicatorImport.finished_at.is_(None)),
            sa.func.max(IndicatorImport.finished_at),
        )
    ).one()
    return counted(Cases(row[0], row[1], row[2]), "위협정보 수신", "Imports of threat information", "/v1/indicators/imports")
