"""How each paragraph stands for a caller: its facts as they are now, and what they come to together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from api.centre import Centre
from api.compliance import law
from api.compliance.facts import FACTS, Fact, Ground, State
from api.compliance.law import Act, Row
from core.permissions import Action, Principal
from core.storage.event_queries import last_seen


@dataclass(frozen=True, slots=True)
class Judged:
    """A paragraph with the facts the caller may read; `hidden` counts the others."""

    act: Act
    row: Row
    state: State
    facts: Sequence[Fact]
    hidden: int


async def judge(centre: Centre, caller: Principal) -> Sequence[Judged]:
    """Every paragraph as `caller` may see it. StoreError when the store or the database does not answer."""
    reads = caller.may(Action.COUNTERS_READ)
    heard = await last_seen(centre.store, caller.scope(Action.COUNTERS_READ)) if reads else []
    stages = centre.stages() if reads else ()

    def read() -> Sequence[Judged]:
        with centre.database.session(readonly=True) as session:
            return list(_judged(Ground(session, centre.settings, caller, centre.clock.now(), heard, stages)))

    return await asyncio.to_thread(read)


def together(states: Sequence[State]) -> State:
    """What several facts come to: one that is overdue counts first; met is what all are."""
    if not states:
        return State.HIDDEN
    if State.OVERDUE in states:
        return State.OVERDUE
    if len(set(states)) == 1:
        return states[0]
    return State.PARTLY


def _judged(ground: Ground) -> Iterator[Judged]:
    made: dict[str, Fact] = {}
    for act in law.load().acts:
        for row in act.rows:
            seen = [one for one in row.facts if _action(one, ground.caller) is not None]
            for one in seen:
                if one not in made:
                    made[one] = _made(one, ground)
            facts = [made[one] for one in seen]
            state = State.OUTSIDE if row.outside else together([one.state for one in facts])
            yield Judged(act, row, state, facts, len(row.facts) - len(seen))


def _action(name: str, caller: Principal) -> Action | None:
    """The action that shows a fact to `caller`; None when none does."""
    return next((one for one in FACTS[name.partition(" ")[0]].actions if caller.may(one)), None)


def _made(name: str, ground: Ground) -> Fact:
    word, _, argument = name.partition(" ")
    action = _action(name, ground.caller)
    scope = None if action is None else ground.caller.scope(action)
    agencies = [one.id for one in ground.settings.agencies if scope is None or one.id in scope]
    return FACTS[word].make(replace(ground, scope=scope, agencies=agencies), argument)
