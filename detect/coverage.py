"""Which attacks the rules know, and which rules can fire at all at each agency: pure functions over what runs and what is delivered."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.events import ENRICHED, EVENTS, PARSED
from detect import needs
from detect.needs import Delivered, Needs
from detect.published import State

ALWAYS: Final = frozenset(EVENTS.names) - {column.name for column in (*PARSED, *ENRICHED)} | frozenset(
    ("parser", "parser_version", "log_class", "event_time", "vendor", "product")
)
"""The columns that every event has."""

_TECHNIQUE: Final = "attack.t"


@dataclass(frozen=True, slots=True)
class Technique:
    """How many rules of each level know a technique of ATT&CK. A rule counts for each pair of its tactics and techniques."""

    tactic: str
    technique: str
    levels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Agency:
    """What can fire at an agency: rule ids, techniques, and by reason the rules that cannot."""

    agency: str
    can: Sequence[str]
    techniques: Sequence[str]
    cannot: Mapping[str, Sequence[str]]


def techniques(states: Iterable[State]) -> list[Technique]:
    """The table of ATT&CK, by tactic and technique; '' where a rule does not say."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for state in states:
        tags = [tag for tag in state.about["tags"] if tag.startswith("attack.")]
        known = _techniques(state)
        tactics = [tag.removeprefix("attack.") for tag in tags if not _is_technique(tag)]
        for tactic in tactics or [""]:
            for technique in known or [""]:
                found[tactic, technique][state.level] += 1
    return [Technique(tactic, technique, dict(levels)) for (tactic, technique), levels in sorted(found.items())]


def at_agencies(states: Sequence[State], delivered: Mapping[str, Sequence[Delivered]]) -> list[Agency]:
    """For each agency of `delivered`, in order of name, what can fire there."""
    known = {state.rule_id: needs.of_plain(state.about["needs"]) for state in states if state.kind == "rule"}
    return [_at_agency(agency, states, known, rows) for agency, rows in sorted(delivered.items())]


def _at_agency(agency: str, states: Sequence[State], known: Mapping[str, Needs], delivered: Sequence[Delivered]) -> Agency:
    judge = _Judge({state.rule_id: state for state in states}, known, delivered)
    can: list[str] = []
    found: set[str] = set()
    cannot: dict[str, list[str]] = defaultdict(list)
    for state in states:
        reason = judge.missing(state.rule_id, frozenset(), ())
        if reason:
            cannot[reason].append(state.rule_id)
        else:
            can.append(state.rule_id)
            found.update(_techniques(state))
    return Agency(agency, can, sorted(found), dict(sorted(cannot.items())))


class _Judge:
    def __init__(self, states: Mapping[str, State], known: Mapping[str, Needs], delivered: Sequence[Delivered]) -> None:
        self._states = states
        self._needs = known
        self._delivered = delivered

    def missing(self, rule_id: str, also: frozenset[str], above: tuple[str, ...]) -> str:
        state = self._states.get(rule_id)
        if state is None or rule_id in above:
            return f"the rule {rule_id} does not run"
        if state.kind == "rule":
            return self._needs[rule_id].missing(self._delivered, also)
        reasons = [
            (member["rule"], self.missing(member["rule"], also | frozenset(member["columns"]), (*above, rule_id)))
            for member in state.about["members"]
        ]
        wrong = [(member, reason) for member, reason in reasons if reason]
        if not wrong or (len(wrong) < len(reasons) and not state.about["all_members"]):
            return ""
        title = self._states[wrong[0][0]].title if wrong[0][0] in self._states else wrong[0][0]
        return f"its rule {title!r}: {wrong[0][1]}"


def _techniques(state: State) -> list[str]:
    return [tag.removeprefix("attack.").upper() for tag in state.about["tags"] if _is_technique(tag)]


def _is_technique(tag: str) -> bool:
    return tag.startswith(_TECHNIQUE) and tag[len(_TECHNIQUE) : len(_TECHNIQUE) + 1].isdigit()
