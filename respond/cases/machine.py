"""State machines as data: which action takes a case from where to where, who may, and whether it needs a reason.

A machine is a table (docs and tests print it); what a step means beyond its state is code of the case's own module. Words of states and
actions are stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from core.errors import Conflict
from core.permissions import Action


@dataclass(frozen=True, slots=True)
class Step:
    """`action` takes a case from one of `sources` to `to`; whoever holds `permission` may. `to` '': the state stays.

    `law` is the article a step carries out ('' when it is our own).
    """

    action: str
    sources: frozenset[str]
    to: str
    permission: Action
    needs_reason: bool = False
    law: str = ""


def step(action: str, sources: str, to: str, permission: Action, *, needs_reason: bool = False, law: str = "") -> Step:
    """A Step whose `sources` are words separated by blanks; `to` '' leaves the state as it is."""
    return Step(action, frozenset(sources.split()), to, permission, needs_reason, law)


@dataclass(frozen=True)
class Machine:
    """A kind of case. `kind` names it in paths and in the trail (`report`), `prefix` begins its numbers (`RPT`).

    It begins in `initial`, or in one of `also_initial` when it is opened so. No step leaves a state of `ended`, unless it says so.
    """

    kind: str
    prefix: str
    initial: str
    steps: tuple[Step, ...]
    ended: frozenset[str]
    also_initial: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len(self._by_action) != len(self.steps):
            raise ValueError(f"two steps of {self.kind} have the same action")
        if wrong := self.ended - self.states:
            raise ValueError(f"{self.kind} has no state {', '.join(sorted(wrong))}")

    @cached_property
    def _by_action(self) -> dict[str, Step]:
        return {one.action: one for one in self.steps}

    @cached_property
    def states(self) -> frozenset[str]:
        """Every state a case of this kind can have."""
        targets = {one.to for one in self.steps if one.to}
        return frozenset({self.initial, *self.also_initial, *targets, *(source for one in self.steps for source in one.sources)})

    def action(self, name: str) -> Step:
        """The step called `name`; KeyError when there is none."""
        return self._by_action[name]

    def steps_from(self, state: str) -> tuple[Step, ...]:
        """What can be done in `state`, by anybody."""
        return tuple(one for one in self.steps if state in one.sources)

    def check(self, number: str, state: str, wanted: Step) -> None:
        """Conflict when `wanted` cannot be done in `state`; it says what can."""
        if state not in wanted.sources:
            raise Conflict(f"{number} is {state}: it cannot {wanted.action}; {_possible(self.steps_from(state))}")


def _possible(steps: Iterable[Step]) -> str:
    words = ", ".join(sorted(one.action for one in steps))
    return f"what it can is {words}" if words else "it has ended"
