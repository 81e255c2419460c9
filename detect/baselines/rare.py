"""Values that next to none of an agency's events of the last day have.

Method: of each term (`core.baseline_settings.Term`) the values of the 24 hours up to the window's end are counted per agency. A value is
rare when its share is below `share` (0.05 %), the agency has at least `min_events` (10,000) events with the term, and all rare values
together are no more than `tail` (1 %) of them: where everything is rare, nothing is. Told when it occurs in the hour just past, once a day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from core.baseline_settings import BaselineSettings, Term
from core.storage.event_queries import Where
from detect.baselines.detector import LIMITS, About, Asked, Finding, Outcome
from detect.baselines.population import of_term, values_of

_DAY: Final = timedelta(days=1)
_MOST_VALUES: Final = 1000  # of a term in one tick, the rarest


class Rare:
    """The detector."""

    about = About(
        word="rare",
        rule_id="e7d9a6b8-1c54-4b7e-a2f3-6f8b0c3d7e44",
        title="Rare value",
        title_ko="드문 값",
        level="low",
        tags=("attack.command-and-control", "attack.t1571"),
        every=timedelta(hours=1),
        repeat=_DAY,
    )

    def enabled(self, settings: BaselineSettings) -> bool:
        return settings.rare.enabled

    async def evaluate(self, asked: Asked) -> Outcome:
        """The rare values of every term that occurred in the window."""
        return Outcome([finding for term in asked.settings.rare.watched for finding in await _of_term(asked, term)])


async def _of_term(asked: Asked, term: Term) -> list[Finding]:
    settings = asked.settings.rare
    population = of_term(term)
    where = population.where(asked.agencies, asked.window.end - _DAY, asked.window.end)
    fresh = Where([], where.params)
    fresh.add(lambda p: f"received_at >= {p}", ("DateTime64(3, 'UTC')", asked.window.start))
    rare = Where([], where.params)
    rare.add(lambda share: f"n < {share} * total", ("Float64", settings.share))
    told = Where(["fresh > 0", "is_rare"], where.params)
    told.add(lambda least: f"total >= {least}", ("UInt64", settings.min_events))
    told.add(lambda tail: f"rare_events <= {tail} * total", ("Float64", settings.tail))
    counted = (
        f"SELECT agency, {population.subject} AS subject, count() AS n, countIf({fresh.sql}) AS fresh FROM events "
        f"WHERE {where.sql} GROUP BY agency, subject"
    )
    shares = f"SELECT *, sum(n) OVER (PARTITION BY agency) AS total, {rare.sql} AS is_rare FROM ({counted})"
    found = await asked.store.query(
        f"SELECT agency, subject, n, total FROM (SELECT *, sumIf(n, is_rare) OVER (PARTITION BY agency) AS rare_events FROM ({shares})) "
        f"WHERE {told.sql} ORDER BY n, agency, subject LIMIT {_MOST_VALUES}",
        where.params,
        LIMITS,
    )
    return [_finding(asked, term, row["agency"], row["subject"], row["n"], row["total"]) for row in found.to_pylist()]


def _finding(asked: Asked, term: Term, agency: str, subject: str, observed: int, total: int) -> Finding:
    threshold = asked.settings.rare.share * total
    return Finding(
        agency=agency,
        subject=subject,
        population=of_term(term),
        since=asked.window.end - _DAY,
        until=asked.window.end,
        details={
            "term": term.name,
            "values": values_of(term, subject),
            "observed": observed,
            "expected": round(threshold, 2),
            "threshold": round(threshold, 2),
            "total": total,
            "unit": "events a day",
        },
        title=term.title,
        title_ko=term.title_ko,
        level=term.level,
    )
