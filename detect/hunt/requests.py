"""Asking for hunts, looking at them and ending them: the rows of `hunts`, within the asker's scope.

A hunt is seen by those whose scope holds every agency it reaches. The searches the centre starts by itself reach every agency.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from core.errors import Conflict, Invalid, NotFound, RuleError, TooMany
from core.storage.event_queries import Scope
from core.versions import check_seen
from detect import rules
from detect.compiled import CompiledRule, compile_rule
from detect.correlation.definition import Correlation
from detect.correlation.resolve import resolve
from detect.fields import EventFields
from detect.hunt import tuned
from detect.hunt.correlations import closure
from detect.hunt.models import FirstKnowable, Hunt
from detect.hunt.statements import Place
from detect.rules import Rule, RuleBook

CENTRE: Final = "system:detect"
"""Who asks for what nobody asks for."""

MOST_RULES: Final = 100
LONGEST_TEXT: Final = 256 << 10
LONGEST_QUEUE: Final = 100
_BUSY_RETRY: Final = 60.0
_AT_A_TIME: Final = 200
_Asked = TypeVar("_Asked", Rule, Correlation)


class Kind(StrEnum):
    """Why history is searched. In this order when several wait."""

    HUNT = "hunt"
    BACKFILL = "backfill"
    FIRST_KNOWABLE = "first_knowable"


class State(StrEnum):
    """Where a search stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


OPEN: Final = (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants searched: saved rules by id, rules as Sigma YAML, or both."""

    since: datetime
    until: datetime
    agencies: Scope
    rule_ids: Sequence[str] = ()
    text: str = ""
    kind: Kind = Kind.HUNT


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a search is about. `members` are the correlations with all they are made of."""

    rules: tuple[Rule, ...]
    correlations: tuple[Correlation, ...]
    members: RuleBook

    @property
    def every(self) -> tuple[Rule | Correlation, ...]:
        return (*self.rules, *self.correlations)


def chosen(book: RuleBook, wish: Wish) -> Chosen:
    """The rules and correlations `wish` is about. NotFound and Invalid say which one is wrong, and why."""
    if wish.since >= wish.until:
        raise Invalid("since must be before until")
    every: list[Rule | Correlation] = [*book.rules, *book.correlations]
    known = {one.id: one for one in every}
    if missing := [rule_id for rule_id in wish.rule_ids if rule_id not in known]:
        raise NotFound(f"there is no rule {missing[0]!r} among those that are loaded; `bongsu rules list` shows them")
    pasted = _pasted(wish.text)
    wanted = [*(known[rule_id] for rule_id in wish.rule_ids), *_asked_of(pasted)]
    if not wanted:
        raise Invalid("name at least one rule, by its id or as Sigma YAML")
    if len(wanted) > MOST_RULES:
        raise Invalid(f"a hunt has at most {MOST_RULES} rules")
    if len({one.id for one in wanted}) < len(wanted):
        raise Invalid("the same rule is named twice")
    found = _chosen(book, pasted, wanted)
    if aside := resolve(found.members).set_aside:
        raise Invalid("; ".join(str(error) for error in aside[:5]))
    return found


def _chosen(book: RuleBook, pasted: RuleBook, wanted: Sequence[Rule | Correlation]) -> Chosen:
    rules_of = tuple(one for one in wanted if isinstance(one, Rule))
    correlations = tuple(one for one in wanted if isinstance(one, Correlation))
    whole = RuleBook((*book.rules, *pasted.rules), (), (*book.correlations, *pasted.correlations))
    return Chosen(rules_of, correlations, closure(whole, correlations))


def _pasted(text: str) -> RuleBook:
    if not text.strip():
        return RuleBook(())
    if len(text.encode()) > LONGEST_TEXT:
        raise Invalid(f"the rules have at most {LONGEST_TEXT >> 10} KiB of text")
    book = rules.parse(text, "pasted", strict=False)
    if book.set_aside:
        raise Invalid("; ".join(str(error) for error in book.set_aside[:5]))
    return RuleBook(tuple(map(_named, book.rules)), (), tuple(map(_named, book.correlations)))


def _named(one: _Asked) -> _Asked:
    """What has no id gets one that says what it is."""
    return one if one.id else replace(one, id=f"pasted-{one.hash}", title=one.title or "(no title)")


def _asked_of(pasted: RuleBook) -> list[Rule | Correlation]:
    """What is pasted, but rules that are there only for a correlation."""
    silent = resolve(pasted).silent
    return [*(rule for rule in pasted.rules if rule.hash not in silent), *pasted.correlations]


def compiled(wanted: Collection[Rule]) -> list[CompiledRule]:
    """The rules with their expressions. Invalid says of each that cannot fire why."""
    fields = EventFields()
    found, wrong = [], []
    for rule in wanted:
        try:
            found.append(compile_rule(rule, fields))
        except RuleError as error:
            wrong.append(str(error))
    if wrong:
        raise Invalid("; ".join(wrong[:5]))
    return found


def ask(session: Session, wish: Wish, wanted: Sequence[Rule | Correlation], asked_by: str, *, ranges: Sequence[Place] = ()) -> Hunt:
    """Put a search into the queue. TooMany when people have filled it."""
    if asked_by != CENTRE:
        exclusive(session, "hunts")
        waiting = session.scalar(sa.select(sa.func.count()).where(Hunt.state.in_(OPEN), Hunt.asked_by != CENTRE)) or 0
        if waiting >= LONGEST_QUEUE:
            raise TooMany(f"{waiting} hunts are waiting already; cancel some, or come back later", _BUSY_RETRY)
    row = Hunt(
        id=secrets.token_hex(6),
        kind=wish.kind.value,
        state=State.QUEUED.value,
        asked_by=asked_by,
        asked_at=now(session),
        started_at=None,
        ended_at=None,
        since=wish.since,
        until=wish.until,
        agencies=None if wish.agencies is None else sorted(wish.agencies),
        rules=_about(session, wish, wanted),
        text=wish.text,
        ranges=[list(place) for place in ranges] or None,
        slices=None,
        slices_done=0,
        rows_total=0,
        rows_done=0,
        found={},
        kept={},
        problems={},
        problem="",
        holder="",
        held_until=None,
    )
    session.add(row)
    session.flush()
    return row


def _about(session: Session, wish: Wish, wanted: Sequence[Rule | Correlation]) -> list[dict[str, Any]]:
    """What is kept of the rules of a search: saved ones that make detections with what agencies changed about them."""
    saved = {rule.id for rule in wanted} if wish.kind is Kind.BACKFILL else set(wish.rule_ids)
    noted = tuned.noted(session, [rule for rule in wanted if rule.id in saved])
    return [
        {"id": rule.id, "title": rule.title, "level": rule.level, "hash": rule.hash, "tuned": noted.get(rule.id, {})} for rule in wanted
    ]


def as_asked(book: RuleBook, hunt: Hunt) -> Chosen:
    """What `hunt` is about. Conflict when it has changed or gone since it was asked.

    A person's hunt is about the rules as they were; what the stream missed is caught up with by the rules as they are now; of what was
    asked of new rules those that changed again are left out.
    """
    pasted = _pasted(hunt.text)
    known: list[Rule | Correlation] = [*book.rules, *book.correlations, *pasted.rules, *pasted.correlations]
    by = "id" if hunt.kind == Kind.BACKFILL else "hash"
    named = {getattr(one, by): one for one in known}
    found = [named[about[by]] for about in hunt.rules if about[by] in named]
    if not found or (hunt.kind == Kind.HUNT and len(found) < len(hunt.rules)):
        kept = {one.id for one in found}
        lost = [about["title"] for about in hunt.rules if about["id"] not in kept]
        raise Conflict(f"changed or removed since the search was asked for: {', '.join(lost[:5])}; ask again")
    return _chosen(book, pasted, found)


def listed(session: Session, scope: Scope, *, kind: str = "", after: tuple[datetime, str] | None = None, limit: int = 50) -> Sequence[Hunt]:
    """Searches, newest first; `after` is the (asked_at, id) of the last one already seen."""
    query = sa.select(Hunt).order_by(Hunt.asked_at.desc(), Hunt.id.desc())
    if kind:
        query = query.where(Hunt.kind == kind)
    if after is not None:
        query = query.where(sa.tuple_(Hunt.asked_at, Hunt.id) < sa.tuple_(sa.literal(after[0], Hunt.asked_at.type), after[1]))
    if scope is None:
        return session.scalars(query.limit(limit)).all()
    every = session.scalars(query.execution_options(yield_per=_AT_A_TIME))
    return list(islice((hunt for hunt in every if _seen(hunt, scope)), limit))


def get(session: Session, scope: Scope, hunt_id: str, *, lock: bool = False) -> Hunt:
    """The search of that id; NotFound when there is none, or not within `scope`."""
    row = session.get(Hunt, hunt_id, with_for_update=lock)
    if row is None or not _seen(row, scope):
        raise NotFound("there is no such hunt")
    return row


def cancel(session: Session, scope: Scope, hunt_id: str, *, seen: int | None = None) -> Hunt:
    """End a search; what it found stays. Stale unless of version `seen`; Conflict when it has ended already."""
    row = get(session, scope, hunt_id, lock=True)
    check_seen(f"the hunt {hunt_id}", row.version, seen)
    if row.state not in OPEN:
        raise Conflict(f"the hunt is {row.state} already")
    row.state = State.CANCELLED.value
    row.ended_at, row.version = now(session), row.version + 1
    return row


def newest_version(session: Session, rule_id: str) -> tuple[FirstKnowable, Hunt] | None:
    """What history said of the version of a rule that was seen last, and the search that asked it; None when it never was."""
    query = (
        sa.select(FirstKnowable, Hunt)
        .join(Hunt, Hunt.id == FirstKnowable.hunt_id)
        .where(FirstKnowable.rule_id == rule_id)
        .order_by(FirstKnowable.noted_at.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def _seen(hunt: Hunt, scope: Scope) -> bool:
    return scope is None or (hunt.agencies is not None and set(hunt.agencies) <= set(scope))


def told(found: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Of what was found by agency, what `scope` holds."""
    return {agency: one for agency, one in found.items() if scope is None or agency in scope}
