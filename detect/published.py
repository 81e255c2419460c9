"""What a detecting process runs, described, and written where the API and `respond` read it: tables `rule_sets` and `rule_states`.

Each process has its own rows, renewed when its rules change, and says now and then that it lives (`seen_at`). Readers take the process
that lives and loaded last; the others show whether they run the same version. Rows of processes long gone are removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, insert_into, now
from core.errors import RuleError
from core.level_effects import Facts
from core.rule_records import RuleSet, RuleState, RuleText
from detect import needs
from detect.correlation.definition import Correlation
from detect.fields import EventFields
from detect.rules import Rule, suppress_of

ALIVE: Final = timedelta(minutes=2)
_FORGOTTEN_AFTER: Final = timedelta(hours=1)
_MOST_RULES_A_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process runs: rules and correlations, and what is set aside."""

    rules: Sequence[Rule]
    correlations: Sequence[Correlation]
    set_aside: Sequence[RuleError]

    @property
    def version(self) -> str:
        """16 hex digits that change when a rule, or the reason it does not run, changes."""
        running: list[Rule | Correlation] = [*self.rules, *self.correlations]
        words = [*(f"{one.id}/{one.hash}" for one in running), *map(str, self.set_aside)]
        return hashlib.sha256("\n".join(sorted(words)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Process:
    """A process that detects, and the version of the rules it runs."""

    name: str
    version: str
    loaded_at: datetime
    seen_at: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class State:
    """A rule in force. `about` holds file, line, tags, status, description, `words` (titles and advice in two languages), and what it
    needs: `needs` of a rule (`detect.needs`), `members` and `all_members` of a correlation, and `boolean`: its condition has no thresholds.
    """

    rule_id: str
    title: str
    level: str
    kind: str
    hash: str
    suppress: Mapping[str, Any] | None
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InForce:
    """What runs now: the process asked, all processes, how many rules there are, and what is set aside (file, line, reason)."""

    process: Process
    processes: Sequence[Process]
    rules: int
    set_aside: Sequence[Mapping[str, Any]]


def publish(session: Session, process: str, snapshot: Snapshot) -> None:
    """Say that `process` runs `snapshot`, and forget processes long gone."""
    exclusive(session, "rules")
    at = now(session)
    gone = sa.select(RuleSet.process).where(sa.or_(RuleSet.process == process, RuleSet.seen_at < at - _FORGOTTEN_AFTER))
    names = session.scalars(gone).all()
    session.execute(sa.delete(RuleState).where(RuleState.process.in_(names)))
    session.execute(sa.delete(RuleSet).where(RuleSet.process.in_(names)))
    aside = [{"file": error.file, "line": error.line, "reason": error.reason} for error in snapshot.set_aside]
    session.add(RuleSet(process=process, version=snapshot.version, loaded_at=at, seen_at=at, set_aside=aside))
    session.flush()
    if rows := [{"process": process} | {name: getattr(one, name) for name in State.__dataclass_fields__} for one in describe(snapshot)]:
        session.execute(sa.insert(RuleState), rows)
    running: list[Rule | Correlation] = [*snapshot.rules, *snapshot.correlations]
    if texts := [_text(one, at) for one in running if one.sources]:
        session.execute(insert_into(session, RuleText).on_conflict_do_nothing(index_elements=["rule_id", "hash"]), texts)


def seen(session: Session, process: str) -> bool:
    """Say that `process` lives; False when its rows are not there any more."""
    renewed = sa.update(RuleSet).where(RuleSet.process == process).values(seen_at=now(session)).returning(RuleSet.process)
    return session.scalar(renewed) is not None


def in_force(session: Session) -> InForce | None:
    """What runs; None when no process has said so yet."""
    at = now(session)
    rows = session.scalars(sa.select(RuleSet)).all()
    if not rows:
        return None
    processes = sorted((_process(row, at) for row in rows), key=lambda one: (one.alive, one.loaded_at, one.name), reverse=True)
    chosen = next(row for row in rows if row.process == processes[0].name)
    count = session.scalar(sa.select(sa.func.count()).where(RuleState.process == chosen.process)) or 0
    return InForce(processes[0], processes, count, chosen.set_aside)


def rules(session: Session, process: str, *, level: str = "", q: str = "", after: str = "", limit: int = _MOST_RULES_A_PAGE) -> list[State]:
    """Rules of a process by id, beginning after the id `after`; `q` is a word of the title or a whole id."""
    query = sa.select(RuleState).where(RuleState.process == process, RuleState.rule_id > after)
    if level:
        query = query.where(RuleState.level == level)
    if q:
        query = query.where(sa.or_(RuleState.title.icontains(q, autoescape=True), RuleState.rule_id == q))
    return [_state(row) for row in session.scalars(query.order_by(RuleState.rule_id).limit(limit))]


def every_rule(session: Session, process: str) -> list[State]:
    """All rules of a process, by id."""
    return [_state(row) for row in session.scalars(sa.select(RuleState).where(RuleState.process == process).order_by(RuleState.rule_id))]


def rule(session: Session, process: str, rule_id: str) -> State | None:
    """One rule of a process."""
    row = session.get(RuleState, (process, rule_id))
    return _state(row) if row else None


def facts(state: State) -> Facts:
    """What a rule that runs can be chosen by."""
    about = state.about
    return Facts(state.rule_id, frozenset(about["tags"]), about.get("status", ""), about["file"], state.kind == "correlation")


def describe(snapshot: Snapshot) -> list[State]:
    """The rules of a snapshot, each id once."""
    fields = EventFields()
    running: list[Rule | Correlation] = [*snapshot.correlations, *snapshot.rules]
    ids = {name: one.id for one in running for name in (one.name, one.id) if name}
    found = [_described(one, "rule", {"needs": needs.of_rule(one, fields).plain()}) for one in snapshot.rules]
    found += [_described(one, "correlation", _members(one, ids, fields)) for one in snapshot.correlations]
    return list({one.rule_id: one for one in found}.values())


def _text(one: Rule | Correlation, at: datetime) -> dict[str, Any]:
    return {"rule_id": one.id, "hash": one.hash, "sources": list(one.sources), "first_run_at": at}


def _members(one: Correlation, ids: Mapping[str, str], fields: EventFields) -> dict[str, Any]:
    """The rules a correlation is over, by id, each with the columns its matches must have to count."""
    members = []
    for name in one.members:
        wanted = [*(one.field_of(field, name) for field in one.group_by), *one.fields]
        known = [found.column for field in wanted if (found := fields.field(field))]
        members.append({"rule": ids.get(name, name), "columns": sorted(set(known))})
    return {"members": members, "all_members": one.kind.temporal and one.condition is None, "boolean": one.condition is not None}


def _described(one: Rule | Correlation, kind: str, more: Mapping[str, Any]) -> State:
    asked = suppress_of(one.custom)
    return State(one.id, one.title, one.level, kind, one.hash, asked.plain if asked else None, {**_about(one), **more})


def _about(one: Rule | Correlation) -> dict[str, Any]:
    ours = one.custom.get("custom")
    words = {str(name): str(value) for name, value in ours.items() if isinstance(value, str)} if isinstance(ours, Mapping) else {}
    said = {"tags": list(one.tags), "status": one.status, "description": one.description, "words": words}
    return {"file": one.file, "line": one.line, **said}


def _process(row: RuleSet, at: datetime) -> Process:
    return Process(row.process, row.version, row.loaded_at, row.seen_at, row.seen_at > at - ALIVE)


def _state(row: RuleState) -> State:
    return State(row.rule_id, row.title, row.level, row.kind, row.hash, row.suppress, row.about)
