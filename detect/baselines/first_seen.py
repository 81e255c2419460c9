"""Values never seen before at an agency: new terms, as Elastic's rule type of that name.

Method: every five minutes the values of each term (`core.baseline_settings.Term`) are looked up among those remembered; one that was not
seen for `history_days` (30) is told, once an agency's values of the term were watched for `learn_days` (7). What was seen is
remembered once a day. When a term is new, or the product is, the values of the kept history are learned at once, and nothing is told.
Of many new values of a term at an agency in one tick the first 50 are told, and how many there were.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from core.baseline_settings import BaselineSettings, Term
from core.storage.event_queries import Where
from detect.baselines.detector import LIMITS, About, Asked, Finding, Outcome
from detect.baselines.memory import SLOT, Seen
from detect.baselines.population import SEPARATOR, of_term, values_of

_REMEMBER_EVERY: Final = timedelta(days=1)
_MOST_TOLD: Final = 50
_MOST_OF_AGENCY: Final = 2000  # of a term in one tick; the rest are taken when they come again
_MOST_VALUES: Final = 20_000  # and of all agencies
_MOST_LEARNED: Final = 100_000  # of a term from history
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = "DateTime64(3, 'UTC')"


class FirstSeen:
    """The detector."""

    about = About(
        word="firstseen",
        rule_id="c2b1e0d4-93a7-4f0b-8f61-2d7e4a9b5c33",
        title="First seen",
        title_ko="처음 관측됨",
        level="low",
        tags=("attack.initial-access", "attack.t1078", "attack.t1133"),
        every=SLOT,
    )

    def enabled(self, settings: BaselineSettings) -> bool:
        return settings.first_seen.enabled

    async def evaluate(self, asked: Asked) -> Outcome:
        """The new values of every term, and what is to be remembered of the others."""
        findings: list[Finding] = []
        seen: list[Seen] = []
        watched_since = await _watched_since(asked)
        for term in asked.settings.first_seen.watched:
            found = await _of_term(asked, term, watched_since.get(term.name, {}))
            findings += found.findings
            seen += found.seen
        return Outcome(findings, seen)


async def _of_term(asked: Asked, term: Term, watched_since: Mapping[str, datetime]) -> Outcome:
    settings = asked.settings.first_seen
    if not watched_since:
        return Outcome(seen=await _learn(asked, term, timedelta(days=settings.history_days)))
    latest = asked.window.start - timedelta(days=settings.learn_days)
    seen: list[Seen] = []
    new: dict[str, list[str]] = {}
    for agency, subject, last, at in await _unremembered(asked, term, timedelta(days=settings.history_days)):
        seen.append(Seen(agency, subject, at))
        if last == _NEVER and agency in watched_since and watched_since[agency] <= latest:
            new.setdefault(agency, []).append(subject)
    told = [(agency, subject) for agency, subjects in new.items() for subject in subjects[:_MOST_TOLD]]
    return Outcome([_finding(asked, term, agency, subject, len(new[agency])) for agency, subject in told], seen)


def _remembered(asked: Asked, params: dict[str, Any]) -> Where:
    """What earlier ticks remembered; the parameters go among `params`."""
    where = Where(["detector = 'firstseen'", "subject != ''"], params)
    asked.agencies.add_to(where)
    where.add(lambda p: f"tick < {p}", ("UInt64", asked.window.tick))
    return where


async def _watched_since(asked: Asked) -> Mapping[str, Mapping[str, datetime]]:
    """By term and agency, since when values are known."""
    where = _remembered(asked, {})
    found = await asked.store.query(
        f"SELECT substringIndex(subject, '{SEPARATOR}', 1) AS term, agency, min(at) AS first FROM baseline_memory "
        f"WHERE {where.sql} GROUP BY term, agency",
        where.params,
        LIMITS,
    )
    since: dict[str, dict[str, datetime]] = {}
    for row in found.to_pylist():
        since.setdefault(row["term"], {})[row["agency"]] = row["first"].astimezone(UTC)
    return since


async def _unremembered(asked: Asked, term: Term, history: timedelta) -> list[tuple[str, str, datetime, datetime]]:
    """Agency, subject, when remembered last (_NEVER: not in the history) and when seen now, of the values not remembered lately."""
    population = of_term(term)
    recent = population.where(asked.agencies, asked.window.start, asked.window.end)
    known = _remembered(asked, recent.params)
    known.add(lambda p: f"startsWith(subject, {p})", ("String", term.name + SEPARATOR))
    known.add(lambda p: f"at >= {p}", (_TIME, asked.window.start - history))
    stale = Where([], recent.params)
    stale.add(lambda p: f"last < {p}", (_TIME, asked.window.start - _REMEMBER_EVERY))
    values = (
        f"SELECT agency, {population.subject} AS subject, min(received_at) AS first FROM events WHERE {recent.sql} GROUP BY agency, subject"
    )
    memory = f"SELECT agency, subject, max(at) AS last FROM baseline_memory WHERE {known.sql} GROUP BY agency, subject"
    found = await asked.store.query(
        f"SELECT agency, subject, last, first FROM ({values}) AS recent LEFT JOIN ({memory}) AS known USING (agency, subject) "
        f"WHERE {stale.sql} ORDER BY agency, subject LIMIT {_MOST_OF_AGENCY} BY agency LIMIT {_MOST_VALUES} SETTINGS join_use_nulls = 0",
        recent.params,
        LIMITS,
    )
    return [(row["agency"], row["subject"], row["last"].astimezone(UTC), row["first"].astimezone(UTC)) for row in found.to_pylist()]


async def _learn(asked: Asked, term: Term, history: timedelta) -> list[Seen]:
    """The values of the kept history, when each was seen first and when last; and that the term was learned, be there values or not."""
    population = of_term(term)
    where = population.where(asked.agencies, asked.window.start - history, asked.window.end)
    found = await asked.store.query(
        f"SELECT agency, {population.subject} AS subject, min(received_at) AS first, max(received_at) AS last FROM events "
        f"WHERE {where.sql} GROUP BY agency, subject ORDER BY last DESC, agency, subject LIMIT {_MOST_LEARNED}",
        where.params,
        LIMITS,
    )
    rows = found.to_pylist()
    learned = [Seen(agency, term.name + SEPARATOR, asked.window.end) for agency in asked.agencies.marks]
    return [*learned, *(Seen(row["agency"], row["subject"], row[end].astimezone(UTC)) for row in rows for end in ("first", "last"))]


def _finding(asked: Asked, term: Term, agency: str, subject: str, new: int) -> Finding:
    values = values_of(term, subject)
    return Finding(
        agency=agency,
        subject=subject,
        population=of_term(term),
        since=asked.window.start,
        until=asked.window.end,
        details={
            "term": term.name,
            "values": values,
            "observed": 1,
            "expected": 0,
            "threshold": 1,
            "new_values": new,
            "unit": f"values not seen for {asked.settings.first_seen.history_days} days",
        },
        title=term.title,
        title_ko=term.title_ko,
        level=term.level,
    )
