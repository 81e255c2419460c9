"""Facts about the system itself: what comes in, what runs, who has rights, how it is protected, whether its trail is whole."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from api.auth.tables import ApiKey, User
from api.compliance.facts import Fact, Ground, State, fact
from core.events import UNKNOWN_AGENCY
from core.permissions import Action
from core.rule_records import RuleSet, RuleState
from respond.models import Audit, AuditCheckpoint

SILENT_AFTER: Final = timedelta(hours=24)
"""A source of the settings that was not heard for so long counts as silent here [ours]; `/v1/baselines` judges each by its own habit."""
VERIFIED_WITHIN: Final = timedelta(days=90)
"""How fresh the newest verification of the trail is to be [ours]."""
_ALIVE: Final = timedelta(minutes=15)


@fact("intake", Action.COUNTERS_READ)
def intake(ground: Ground, _argument: str) -> Fact:
    """Sources heard in the last day, and agencies with a silent source or with none at all."""
    heard = {(one.agency, one.source): one.at for one in ground.heard if one.agency != UNKNOWN_AGENCY}
    fresh = {key for key, at in heard.items() if at > ground.at - SILENT_AFTER}
    mine = [agency for agency in ground.settings.agencies if ground.scope is None or agency.id in ground.scope]
    silent = [(agency.id, one.name) for agency in mine for one in agency.sources if (agency.id, one.name) not in fresh]
    lacking = {agency for agency, _ in silent} | {agency.id for agency in mine if all(key[0] != agency.id for key in heard)}
    state = State.NOTHING if not heard else State.PARTLY if lacking else State.MET
    return Fact(
        state,
        f"24시간 안에 로그를 보낸 출처 {len(fresh)}개, 침묵한 등록 출처 {len(silent)}개",
        f"{len(fresh)} sources heard in 24 hours, {len(silent)} registered ones silent",
        "/v1/coverage?hours=24",
        len(fresh),
        max(heard.values(), default=None),
        sorted(lacking),
    )


@fact("stages", Action.COUNTERS_READ)
def stages(ground: Ground, _argument: str) -> Fact:
    """Whether every part of the pipeline runs, and how many messages wait."""
    failing = [one.name for one in ground.stages if one.problem]
    lag = sum(one.lag or 0 for one in ground.stages)
    state = State.PARTLY if failing else State.MET if ground.stages else State.NOTHING
    ko = f"처리 단계 {len(ground.stages)}개 중 이상 {len(failing)}개, 대기 메시지 {lag}건"
    return Fact(
        state, ko, f"{len(failing)} of {len(ground.stages)} stages failing, {lag} messages waiting", "/v1/counters", len(ground.stages)
    )


@fact("rules", Action.RULES_READ)
def rules(ground: Ground, _argument: str) -> Fact:
    """Rules in force in the processes that detect."""
    alive = sa.select(RuleSet.process).where(RuleSet.seen_at > ground.at - _ALIVE)
    count = ground.session.scalar(sa.select(sa.func.count(RuleState.rule_id.distinct())).where(RuleState.process.in_(alive))) or 0
    last_at = ground.session.scalar(sa.select(sa.func.max(RuleSet.loaded_at)))
    ko, en = f"적용 중인 탐지 규칙 {count}개", f"{count} detection rules in force"
    return Fact(State.MET if count else State.NOTHING, ko, en, "/v1/rules", count, last_at)


@fact("trail", Action.AUDIT_READ)
def trail(ground: Ground, _argument: str) -> Fact:
    """Rows of the audit trail, how far they are signed, and when it was last verified, with which outcome."""
    session = ground.session
    rows = session.scalar(sa.select(sa.func.max(Audit.seq))) or 0
    signed = session.scalar(sa.select(sa.func.max(AuditCheckpoint.seq))) or 0
    last: Any = session.execute(
        sa.select(Audit.at, Audit.detail).where(Audit.action == "audit.verified").order_by(Audit.seq.desc()).limit(1)
    ).one_or_none()
    problem = str(json.loads(last.detail)["problem"]) if last else ""
    if problem:
        state = State.OVERDUE
    elif last and last.at > ground.at - VERIFIED_WITHIN:
        state = State.MET
    else:
        state = State.PARTLY if rows else State.NOTHING
    outcome = ("아직 검증하지 않음", "not verified yet") if last is None else ("검증 이상 없음", "verified whole")
    ko, en = (f"검증 실패: {problem}", f"verification failed: {problem}") if problem else outcome
    return Fact(
        state,
        f"감사기록 {rows}건, 서명 {signed}건까지, {ko}",
        f"{rows} rows of the audit trail, signed up to {signed}, {en}",
        "/v1/audit",
        rows,
        last.at if last else None,
    )


@fact("trail_copy", Action.AUDIT_READ)
def trail_copy(ground: Ground, _argument: str) -> Fact:
    """Whether the trail's copy has a place of its own."""
    apart = ground.settings.audit.copy_folder is not None
    ko = (
        "감사기록 사본을 별도 장소에 보관"
        if apart
        else "감사기록 사본이 데이터 폴더 안에 있음: audit.copy_folder로 다른 장비를 지정하십시오"
    )
    en = (
        "The trail's copy has a place of its own"
        if apart
        else "The trail's copy lies in the data folder: name another with audit.copy_folder"
    )
    return Fact(State.MET if apart else State.PARTLY, ko, en, "/v1/audit/verify")


@fact("logins", Action.AUDIT_READ)
def logins(ground: Ground, _argument: str) -> Fact:
    """Log-ins recorded this year, and those that failed."""
    query = sa.select(
        sa.func.count().filter(Audit.action == "login"), sa.func.count().filter(Audit.action == "login.failed"), sa.func.max(Audit.at)
    )
    went, failed, last_at = ground.session.execute(query.where(Audit.action.in_(("login", "login.failed")), Audit.at >= ground.since)).one()
    return Fact(
        State.MET if went or failed else State.NOTHING,
        f"올해 접속기록 {went}건, 실패 {failed}건",
        f"{went} log-ins recorded this year, {failed} failed",
        "/v1/audit?action=login",
        went,
        last_at,
    )


@fact("accounts", Action.KEYS_READ, Action.AUDIT_READ)
def accounts(ground: Ground, _argument: str) -> Fact:
    """Accounts and machines' keys that hold."""
    people = ground.session.scalar(sa.select(sa.func.count()).select_from(User).where(User.disabled_at.is_(None))) or 0
    holds = (ApiKey.revoked_at.is_(None), ApiKey.expires_at > ground.at)
    keys = ground.session.scalar(sa.select(sa.func.count()).select_from(ApiKey).where(*holds)) or 0
    ko, en = f"사용 중인 계정 {people}개, 기기 키 {keys}개", f"{people} accounts and {keys} keys hold"
    return Fact(State.MET if people else State.NOTHING, ko, en, "/v1/keys", people + keys)


@fact("encryption", Action.AUDIT_READ)
def encryption(ground: Ground, _argument: str) -> Fact:
    """Whether this process speaks TLS itself, to browsers and to devices. Behind a proxy with TLS it need not."""
    web = ground.settings.api.tls is not None
    listeners = ground.settings.intake.listeners
    plain = sorted(one.name for one in listeners if one.tls is None)
    ko = f"API·화면 TLS {'사용' if web else '앞단 프록시 필요'}, 평문 수집 창구 {len(plain)}개"
    en = f"API and dashboard {'speak TLS' if web else 'need a proxy with TLS'}, {len(plain)} listeners without TLS"
    return Fact(State.MET if web and not plain else State.PARTLY, ko, en, "/readyz", len(plain))
