"""Drafts of rules: writing them, trying them on lines, and having them approved by a second person, from which on they detect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from api import rule_bench
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseFilter, CaseOut, Condition, Kind, Number, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from api.rule_bench import Tried
from api.rule_deliveries import delivered
from core.errors import Invalid
from core.permissions import Action, Principal
from detect import coverage
from detect.approved import FOLDER
from detect.drafts import Checked
from detect.explain import Part
from respond.cases import records
from respond.cases.machine import Step
from respond.rule_drafts import service
from respond.rule_drafts.machine import MACHINE
from respond.rule_drafts.models import RuleDraft as Row
from respond.rule_drafts.service import Content

router = APIRouter(prefix="/v1/rule-drafts", tags=["rules"])

Reader = Annotated[Principal, Depends(Allowed(Action.RULES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.RULES_WRITE))]
_LOOKED_BACK: Final = timedelta(hours=24)
_MOST_ERRORS: Final = 5
_TEXT: Final = """title: Telnet let through
id: 0f8b6a52-6d0b-4c3b-9a39-6a2f5c1f7a10
status: experimental
description: A connection to the telnet port that a firewall let through.
tags: [attack.initial-access, attack.t1133]
logsource: {category: firewall}
detection:
  selection: {disposition: allow, dst_port: 23}
  condition: selection
falsepositives: [none]
level: medium
"""
_LINE: Final = (
    'date=2026-03-02 time=10:15:00 devname="fw-01" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" '
    'subtype="forward" vd="root" srcip=192.0.2.7 srcport=40000 dstip=198.51.100.7 dstport=23 proto=6 action="accept" policyid=1'
)
Origin = Annotated[str, StringConstraints(max_length=200, pattern=r"^((rule|hunt|incident)/[^\s]+)?$")]
TextOf = Annotated[str, Field(min_length=1, max_length=service.LONGEST_TEXT, description="Sigma rules, as YAML")]


class NewDraft(BaseModel):
    """A text of Sigma rules to work on. It need not be right yet."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": _TEXT, "origin": "hunt/5f0c1d2e3b4a"}]})

    text: TextOf
    origin: Origin = Field(default="", description="What it came from: `rule/<id>`, `hunt/<id>` or `incident/<number>`")


class EditWish(Wish):
    """What the draft says now."""

    text: TextOf = ""


class Draft(CaseOut):
    """A draft of rules. `rule_ids` are those its text holds as far as it can be read; `authors` may not approve it."""

    title: str
    origin: str
    rule_ids: list[str]
    authors: list[str]
    approved_by: str


class DraftDetail(Draft):
    """A draft with its text and how it went. In force, its rules name `file` as theirs."""

    text: str
    file: str
    progress: Progress


class DraftText(BaseModel):
    """What a draft said from a version on."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    text: str
    at: datetime
    by: str


class DraftTexts(BaseModel):
    """Everything a draft said, oldest first."""

    items: list[DraftText]


class Wanted(CaseFilter):
    """Which drafts to list."""

    rule_id: str = Field(default="", max_length=128, exclude=True, description="Only drafts that hold this rule")

    def conditions(self, row: type[Any], caller: Principal) -> list[Condition]:
        """What the drafts meet that were asked for."""
        named = [sa.cast(row.rule_ids, sa.Text).contains(f'"{self.rule_id}"', autoescape=True)] if self.rule_id else []
        return [*super().conditions(row, caller), *named]


class Trial(BaseModel):
    """A text to look at, and lines to try it on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": _TEXT, "lines": [_LINE], "coverage": True}]})

    text: str = Field(max_length=service.LONGEST_TEXT, description="Sigma rules, as YAML")
    lines: list[Annotated[str, StringConstraints(max_length=rule_bench.LONGEST_LINE)]] = Field(
        default=[], max_length=rule_bench.MOST_LINES, description="Raw log lines"
    )
    parser: str = Field(default="", max_length=63, description="The only parser to ask; empty: whichever knows the line")
    agency: str = Field(default="", max_length=63, description="Whose the lines are, for rules that look at it")
    coverage: bool = Field(default=False, description="Tell also at which agencies it can fire, by what they sent in the last 24 hours")


class TextProblem(BaseModel):
    """What is wrong, or could be better, and where; lines and columns count from 1. With an `error` it cannot run."""

    model_config = ConfigDict(from_attributes=True)

    line: int
    column: int
    error: bool
    reason: str


class BecomesRule(BaseModel):
    """What a rule of the text becomes.

    `condition` is its expression over the columns of our events ('' for a correlation), `looked_for` the literals one of which every match
    holds, `unknown` the fields no event has, `replaces` the file of the rule that runs now with the same id ('': none).
    """

    model_config = ConfigDict(from_attributes=True)

    rule_id: str
    title: str
    level: str
    kind: str
    tags: list[str]
    line: int
    replaces: str
    condition: str
    classes: list[str]
    columns: list[str]
    looked_for: list[str]
    unknown: list[str]
    members: list[str]


class ConditionPart(BaseModel):
    """A part of a condition and whether it held; `name` is the selection's, `value` what the field held (null: nothing)."""

    model_config = ConfigDict(from_attributes=True)

    what: str
    holds: bool
    name: str
    value: str | None
    remark: str
    parts: list[ConditionPart]


class TriedLine(BaseModel):
    """What came of a line: its event's columns or why there is none, and each rule by its id."""

    parser: str
    refused: str
    event: dict[str, Any]
    matches: list[str] = Field(description="Ids of the rules that match")
    rules: dict[str, ConditionPart]


class FiresAt(BaseModel):
    """Whether all its rules can fire at an agency, and why one cannot."""

    agency: str
    can: bool
    because: str


class TrialResult(BaseModel):
    """What is wrong with a text, what it becomes, and how it did. `valid`: nothing keeps it from running."""

    valid: bool
    title: str
    problems: list[TextProblem]
    rules: list[BecomesRule]
    lines: list[TriedLine]
    fired: dict[str, list[dict[str, str]]] = Field(description="The groups its correlations fire for on all the lines together, by rule id")
    agencies: list[FiresAt]


@router.post("/check", summary="Check rules, and try them on lines")
async def check(trial: Trial, caller: Reader, centre: TheCentre) -> TrialResult:
    """What is wrong with a text and where, what it becomes, which lines it matches and by which parts, and where it can fire.

    The lines are read by the centre's own parsers, and kept nowhere.
    """
    found = await asyncio.to_thread(_tried, centre, trial)
    checked = found.checked
    until = centre.clock.now()
    known = await delivered(centre, until - _LOOKED_BACK, until, caller.scope(Action.RULES_READ)) if trial.coverage else {}
    return TrialResult(
        valid=not checked.errors,
        title=checked.title,
        problems=[TextProblem.model_validate(one) for one in checked.problems],
        rules=[BecomesRule.model_validate(one) for one in checked.rules],
        lines=[_line(one) for one in found.lines],
        fired={rule_id: [dict(group) for group in groups] for rule_id, groups in found.fired.items()},
        agencies=_fires_at(checked, coverage.at_agencies(checked.states, known)),
    )


@router.post("", status_code=201, summary="Begin a draft of a rule")
def begin(wanted: NewDraft, response: Response, caller: Writer, centre: TheCentre) -> Draft:
    """Keep a text to work on. It detects nothing before somebody else approved it."""
    content = _content(centre, wanted.text)
    with centre.database.session() as session:
        made = Draft.model_validate(service.write(session, caller.actor, content, wanted.origin))
    set_etag(response, made.version)
    return made


@router.get("/{number}/texts", summary="Read everything a draft said")
def texts(number: Number, caller: Reader, centre: TheCentre) -> DraftTexts:
    """The text of each version in which it was changed."""
    with centre.database.session(readonly=True) as session:
        records.find(session, MACHINE, Row, caller.scope(Action.RULES_READ), number)
        return DraftTexts(items=[DraftText.model_validate(one) for one in service.texts(session, number)])


def _tried(centre: Centre, trial: Trial) -> Tried:
    return centre.bench.run(trial.text, centre.rules.current(), trial.lines, trial.parser, trial.agency)


def _content(centre: Centre, text: str) -> Content:
    checked = centre.bench.check(text, centre.rules.current())
    return Content(text, checked.title, checked.rule_ids)


def _runs(centre: Centre, text: str) -> Content:
    """What the text holds; Invalid when it cannot run."""
    checked = centre.bench.check(text, centre.rules.current())
    if errors := checked.errors:
        told = "; ".join(f"line {one.line}, column {one.column}: {one.reason}" for one in errors[:_MOST_ERRORS])
        raise Invalid(f"it cannot run: {told}")
    return Content(text, checked.title, checked.rule_ids)


def _line(one: rule_bench.Line) -> TriedLine:
    return TriedLine(
        parser=one.parser,
        refused=one.refused,
        event=dict(one.event),
        matches=[rule_id for rule_id, part in one.rules.items() if part.holds],
        rules={rule_id: _part(part) for rule_id, part in one.rules.items()},
    )


def _part(part: Part) -> ConditionPart:
    return ConditionPart.model_validate(part)


def _fires_at(checked: Checked, agencies: Sequence[coverage.Agency]) -> list[FiresAt]:
    ids = set(checked.rule_ids)
    found = []
    for one in agencies:
        reasons = [because for because, rules in one.cannot.items() if ids & set(rules)]
        found.append(FiresAt(agency=one.agency, can=not reasons, because="; ".join(reasons)))
    return found


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    scope = caller.scope(step.permission)
    content: Content | None = None
    if isinstance(wish, EditWish):
        content = _content(centre, wish.text)
    elif step.action in ("submit", "approve"):
        draft = records.find(session, MACHINE, Row, scope, number)
        if draft.version == version and draft.state in step.sources:
            content = _runs(centre, draft.text)
    return service.take(session, scope, caller.actor, number, step.action, version, reason=wish.reason, content=content)


def _tell(_session: Session, _centre: Centre, caller: Principal, row: Row, went: Progress) -> DraftDetail:
    shown = Draft.model_validate(row).model_dump()
    if caller.actor in row.authors:
        went.steps = [step for step in went.steps if step != "approve"]
    return DraftDetail(**shown, text=row.text, file=f"{FOLDER}/{row.number}", progress=went)


_KIND: Final = Kind(MACHINE, Row, [Action.RULES_READ], Draft)
add_list(
    router,
    _KIND,
    Wanted,
    of="Drafts of rules",
    name="list_rule_drafts",
    summary="List drafts of rules",
    description="Drafts, newest first, those in force and ended ones too. They are the centre's: an agency sees none.",
)
add_read(
    router,
    _KIND,
    DraftDetail,
    _tell,
    name="get_rule_draft",
    summary="Read a draft of a rule",
    description="A draft with its text, history and the steps the caller may take. The ETag is to be sent as If-Match with a step.",
)
add_steps(router, MACHINE, _take, Draft.model_validate, Draft, wishes={"edit": EditWish})
