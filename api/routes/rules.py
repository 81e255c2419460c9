"""Rules: what runs, how each one does, which can fire where, and what is changed about them at an agency."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api import rule_effects
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.rule_deliveries import delivered
from api.rule_effects import RuleEffect
from api.rule_states import RuleId, RuleTuning, state_of
from core import level_effects
from core.clock import from_millis, millis
from core.level_effects import Effect, Ruling
from core.permissions import Action, Agencies, Principal
from core.storage import rule_queries
from detect import coverage, published
from detect.approved import draft_of
from respond import feedback, tunings
from respond.tunings import Tuning

router = APIRouter(prefix="/v1/rules", tags=["rules"])

Reader = Annotated[Principal, Depends(Allowed(Action.RULES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.RULES_WRITE))]
_LOOKED_BACK: Final = timedelta(days=30)
_SUGGESTED: Final = timedelta(days=30)


class ProcessFigures(BaseModel):
    """A process that detects. They all run the same version unless one has other files, or is just reading new ones."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    version: str
    loaded_at: datetime
    seen_at: datetime
    alive: bool


class SetAside(BaseModel):
    """A rule that does not run."""

    file: str
    line: int
    reason: str


class Rule(BaseModel):
    """A rule that runs. `hash` is on every detection it makes; `words` are its title and advice in Korean and English."""

    rule_id: str
    title: str
    level: str
    kind: str
    hash: str
    tags: list[str]
    description: str
    words: dict[str, str]
    file: str
    line: int
    suppress: dict[str, Any] | None
    classes: list[str] = Field(description="The log classes it looks at; of a correlation none: see those of its rules")
    draft: str = Field(description="The draft it was approved as, or empty: it stands in a file")


class RulePage(BaseModel):
    """The rules in force, by id, and those set aside. `next_cursor` is empty on the last page; `version` '' says that nothing detects."""

    version: str
    rules: int
    processes: list[ProcessFigures]
    items: list[Rule]
    next_cursor: str
    set_aside: list[SetAside]


class AtAgency(BaseModel):
    """A rule at an agency in the last 30 days. `precision`: true ones of those judged, null while none was."""

    agency: str
    detections: int
    last_at: datetime | None
    incidents: int
    true_positives: int
    false_positives: int
    precision: float | None


class SuggestedSilence(BaseModel):
    """The entity that was taken for false most often, as a body for POST /v1/silences; put in why."""

    rule_id: str
    agency: str
    match: dict[str, str]
    reason: str
    expires_at: datetime


class RuleDetail(Rule):
    """A rule with how it did in the last 30 days within the caller's scope, what is changed about it, and what to silence."""

    agencies: list[AtAgency]
    tunings: list[RuleTuning]
    effects: list[RuleEffect]
    suggested_silence: SuggestedSilence | None


class Technique(BaseModel):
    """Rules by level that know a technique; a rule counts for each pair of its tactics and techniques."""

    model_config = ConfigDict(from_attributes=True)

    tactic: str
    technique: str
    levels: dict[str, int]


class Unable(BaseModel):
    """Rules that cannot fire, and why."""

    because: str
    rules: list[str]


class AgencyCoverage(BaseModel):
    """Which rules can fire on what the agency's sources sent in the time."""

    agency: str
    can: list[str]
    techniques: list[str] = Field(description="Of the rules that can")
    cannot: list[Unable]


class RuleCoverage(BaseModel):
    """The table of ATT&CK and, for each agency within the caller's scope, what can fire there."""

    version: str
    since: datetime
    until: datetime
    techniques: list[Technique]
    agencies: list[AgencyCoverage]


@router.get("", summary="List the rules in force")
def list_rules(
    caller: Reader,  # noqa: ARG001 - whoever reads rules reads all of them
    centre: TheCentre,
    level: Annotated[str, Query(max_length=16)] = "",
    q: Annotated[str, Query(max_length=200, description="A word of the title, or a whole id")] = "",
    cursor: Annotated[str, Query(max_length=128)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> RulePage:
    """The rules that run now, as the process that loaded last has them, and what it set aside with the reasons."""
    with centre.database.session(readonly=True) as session:
        found = published.in_force(session)
        if found is None:
            return RulePage(version="", rules=0, processes=[], items=[], next_cursor="", set_aside=[])
        rows = published.rules(session, found.process.name, level=level, q=q, after=cursor, limit=limit + 1)
    return RulePage(
        version=found.process.version,
        rules=found.rules,
        processes=[ProcessFigures.model_validate(one) for one in found.processes],
        items=[Rule(**_rule(row)) for row in rows[:limit]],
        next_cursor=rows[limit - 1].rule_id if len(rows) > limit else "",
        set_aside=[SetAside(**one) for one in found.set_aside],
    )


@router.get("/coverage", summary="Read what the rules know and which can fire where")
async def rule_coverage(
    caller: Reader,
    centre: TheCentre,
    hours: Annotated[float, Query(gt=0, le=168, description="How far back, by the time of receipt")] = 24,
) -> RuleCoverage:
    """The rules by tactic and technique of ATT&CK, and for each agency which can fire on the columns its sources really fill."""
    until = centre.clock.now()
    since = until - timedelta(hours=hours)
    scope = caller.scope(Action.RULES_READ)
    known = await delivered(centre, since, until, scope)
    version, states = await asyncio.to_thread(_every_rule, centre)
    agencies = await asyncio.to_thread(coverage.at_agencies, states, known)
    return RuleCoverage(
        version=version,
        since=since,
        until=until,
        techniques=[Technique.model_validate(one) for one in coverage.techniques(states)],
        agencies=[_coverage(one) for one in agencies],
    )


@router.get("/{rule_id}", summary="Read a rule and how it does")
async def get_rule(rule_id: RuleId, caller: Reader, centre: TheCentre) -> RuleDetail:
    """A rule that runs: what it found, what became of its incidents, what is changed about it, and what to silence."""
    scope = caller.scope(Action.RULES_READ)
    until = centre.clock.now()
    since = until - _LOOKED_BACK
    known = await asyncio.to_thread(_known, centre, scope, rule_id, since)
    fired = {one.agency: one for one in await rule_queries.fired(centre.store, rule_id, since, from_millis(millis(until) + 1), scope)}
    return RuleDetail(
        **_rule(known.state),
        agencies=[_at(agency, fired.get(agency), known.judged.get(agency)) for agency in sorted({*fired, *known.judged})],
        tunings=[RuleTuning.model_validate(one) for one in known.changed],
        effects=rule_effects.shown(known.effects, scope),
        suggested_silence=_suggested(rule_id, known.suggested, until),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says of a rule."""

    state: published.State
    judged: Mapping[str, feedback.Figures]
    suggested: feedback.Suggestion | None
    changed: Sequence[Tuning]
    effects: Mapping[str, tuple[Effect, Ruling]]


def _known(centre: Centre, scope: Agencies, rule_id: str, since: datetime) -> _Known:
    with centre.database.session(readonly=True) as session:
        state = state_of(session, rule_id)
        return _Known(
            state=state,
            judged={one.agency: one for one in feedback.figures(session, scope, rule_id, since)},
            suggested=feedback.suggestion(session, scope, rule_id, since),
            changed=tunings.listed(session, scope, rule_id),
            effects=level_effects.rulings(level_effects.in_force(session), published.facts(state)),
        )


def _every_rule(centre: Centre) -> tuple[str, list[published.State]]:
    with centre.database.session(readonly=True) as session:
        found = published.in_force(session)
        return (found.process.version, published.every_rule(session, found.process.name)) if found else ("", [])


def _rule(state: published.State) -> dict[str, Any]:
    about = {name: state.about[name] for name in ("tags", "description", "words", "file", "line")}
    named = ("rule_id", "title", "level", "kind", "hash", "suppress")
    classes = state.about.get("needs", {}).get("classes", [])
    return {**{name: getattr(state, name) for name in named}, **about, "classes": classes, "draft": draft_of(about["file"])}


def _at(agency: str, fired: rule_queries.Fired | None, judged: feedback.Figures | None) -> AtAgency:
    judged = judged or feedback.Figures(agency, 0, 0, 0)
    return AtAgency(
        agency=agency,
        detections=fired.detections if fired else 0,
        last_at=fired.last_at if fired else None,
        incidents=judged.incidents,
        true_positives=judged.true_positives,
        false_positives=judged.false_positives,
        precision=judged.precision,
    )


def _suggested(rule_id: str, found: feedback.Suggestion | None, at: datetime) -> SuggestedSilence | None:
    if found is None:
        return None
    reason = f"false alarm in {found.false_positives} incidents of the last {_LOOKED_BACK.days} days"
    match = {found.column: found.value}
    return SuggestedSilence(rule_id=rule_id, agency=found.agency, match=match, reason=reason, expires_at=at + _SUGGESTED)


def _coverage(one: coverage.Agency) -> AgencyCoverage:
    cannot = [Unable(because=because, rules=list(rules)) for because, rules in one.cannot.items()]
    return AgencyCoverage(agency=one.agency, can=list(one.can), techniques=list(one.techniques), cannot=cannot)
