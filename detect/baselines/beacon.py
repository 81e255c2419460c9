"""Connections from an internal host to one destination outside at regular intervals, as malware that asks for orders makes.

Method, after RITA (Real Intelligence Threat Analytics, Active Countermeasures), which scores a pair of hosts by the distribution of the
intervals between their connections:
- A pair is the source and the domain asked for (proxy), the registered domain of a DNS question, else the destination address. Its
  connections are those of the 24 hours up to the window's end, by the device's clock, to the second; two in one second are one.
- Skew: 1 - |Bowley's skewness| of the intervals, (q1 + q3 - 2 q2) / (q3 - q1); 0 skewness where the quartiles coincide.
- Dispersion: 1 - (median absolute deviation / median) of the intervals, at least 0.
- The score is the mean of the two; where bytes are known, two parts of it and one part of the same of the bytes the source sent.
- Not judged: fewer than `min_connections` (20) or more than 8,640 connections, less than `min_hours` (3) from the first to the last, a
  median interval that fills less than 30 % of that time (a burst, not a beacon), a destination of more than `popular_sources` (10) hosts.
Told of a pair once a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from core.baseline_settings import BaselineSettings
from core.storage.event_queries import Where
from detect.baselines.detector import LIMITS, About, Asked, Finding, Outcome
from detect.baselines.population import LIVE, OUTBOUND, SEPARATOR, Population, internal, text

_DAY: Final = timedelta(days=1)
_MOST_CONNECTIONS: Final = 8640
_COVERED: Final = 0.3
_MOST_PAIRS: Final = 1000  # of one tick, the most regular

_NAME: Final = "if(log_class = 'dns' AND dns_query != '', cutToFirstSignificantSubdomain(lower(dns_query)), lower(domain))"
_ADDRESS: Final = f"if({_NAME} = '', dst_ip, NULL)"
_PAIR: Final = f"agency, src_ip, {_NAME} AS name, {_ADDRESS} AS address"
_NAMED: Final = "((log_class = 'dns' AND dns_query != '') OR (log_class = 'proxy' AND domain != ''))"
_BY_NAME: Final = f"({LIVE} AND {internal('src_ip')} AND {_NAMED})"
_DESTINATION: Final = f"if({_NAME} = '', {text('dst_ip')}, {_NAME})"
PAIRS: Final = Population(
    f"({_BY_NAME} OR (log_class != 'dns' AND {OUTBOUND}))", f"concat_ws('{SEPARATOR}', {text('src_ip')}, {_DESTINATION})"
)


def skew_score(values: str) -> str:
    """SQL of 1 - |Bowley's skewness| of an array of numbers."""
    q = f"arrayReduce('quantilesExact(0.25, 0.5, 0.75)', {values})"
    spread = f"({q}[3] - {q}[1])"
    return f"if({spread} = 0, 1.0, 1 - abs(toFloat64({q}[1]) + {q}[3] - 2 * toFloat64({q}[2])) / {spread})"


def dispersion_score(values: str) -> str:
    """SQL of 1 - (median absolute deviation / median) of an array of numbers, at least 0."""
    middle = f"toFloat64(arrayReduce('quantileExact', {values}))"
    deviation = f"arrayReduce('quantileExact', arrayMap(x -> abs(toFloat64(x) - {middle}), {values}))"
    return f"if({middle} = 0, 0.0, greatest(0.0, 1 - {deviation} / {middle}))"


def regularity(values: str) -> str:
    """SQL of the regularity of an array of numbers, from 0 to 1."""
    return f"(({skew_score(values)} + {dispersion_score(values)}) / 2)"


class Beacon:
    """The detector."""

    about = About(
        word="beacon",
        rule_id="a4f1c7e2-6d3b-4e95-b0c8-7e2d5f9a1b55",
        title="Regular connections to the outside (beaconing)",
        title_ko="외부로 규칙적인 접속(비커닝)",
        level="medium",
        tags=("attack.command-and-control", "attack.t1071"),
        every=timedelta(hours=1),
        repeat=_DAY,
    )

    def enabled(self, settings: BaselineSettings) -> bool:
        return settings.beacon.enabled

    async def evaluate(self, asked: Asked) -> Outcome:
        """The pairs whose connections are too regular."""
        where = PAIRS.where(asked.agencies, asked.window.end - _DAY, asked.window.end)
        if ports := asked.settings.beacon.ignore_ports:
            where.add(lambda p: f"ifNull(dst_port, 0) NOT IN {p}", ("Array(UInt16)", list(ports)))
        sql = _scored(_connections(where, asked), where, asked)
        found = await asked.store.query(sql, where.params, LIMITS)
        return Outcome([_finding(asked, row) for row in found.to_pylist()])


def _candidates(where: Where, asked: Asked) -> str:
    """Pairs of a fitting number of connections, to destinations that are not popular."""
    settings = asked.settings.beacon
    fits = Where([], where.params)
    fits.add(lambda least: f"n >= {least} AND n <= {_MOST_CONNECTIONS}", ("UInt64", settings.min_connections))
    fits.add(lambda most: f"sources <= {most}", ("UInt64", settings.popular_sources))
    pairs = f"SELECT {_PAIR}, count() AS n FROM events WHERE {where.sql} GROUP BY agency, src_ip, name, address"
    return (
        "SELECT agency, src_ip, name, ifNull(address, toIPv6('::')) FROM "
        f"(SELECT *, count() OVER (PARTITION BY agency, name, address) AS sources FROM ({pairs})) WHERE {fits.sql}"
    )


def _connections(where: Where, asked: Asked) -> str:
    """The candidates with the seconds of their connections in order, and the bytes the source sent in each."""
    candidates = _candidates(where, asked)
    return (
        f"SELECT {_PAIR}, any({PAIRS.subject}) AS subject, "
        "arraySort(groupUniqArray(toUnixTimestamp(event_time))) AS seconds, groupArray(ifNull(bytes_src, 0)) AS sizes "
        f"FROM events WHERE {where.sql} AND (agency, src_ip, name, ifNull(address, toIPv6('::'))) IN ({candidates}) "
        "GROUP BY agency, src_ip, name, address"
    )


def _scored(connections: str, where: Where, asked: Asked) -> str:
    """The pairs told of, with their figures."""
    settings = asked.settings.beacon
    told = Where([f"covered >= {_COVERED}"], where.params)
    told.add(lambda score: f"score >= {score}", ("Float64", settings.score))
    if known := [name.lower() for name in settings.ignore_destinations]:
        told.add(lambda names: f"splitByChar('{SEPARATOR}', subject)[2] NOT IN {names}", ("Array(String)", known))
    fits = Where([], where.params)
    fits.add(lambda least: f"length(seconds) >= {least}", ("UInt64", settings.min_connections))
    fits.add(lambda least: f"seconds[-1] - seconds[1] >= {least}", ("UInt64", int(settings.min_hours * 3600)))
    with_intervals = f"SELECT *, arrayPopFront(arrayDifference(seconds)) AS intervals FROM ({connections}) WHERE {fits.sql}"
    with_parts = (
        f"SELECT *, {regularity('intervals')} AS timing, arraySum(sizes) > 0 AS sized, {regularity('sizes')} AS sizing, "
        f"arrayReduce('quantileExact', intervals) AS usual FROM ({with_intervals})"
    )
    with_score = (
        "SELECT *, if(sized, (2 * timing + sizing) / 3, timing) AS score, "
        f"least(1.0, usual * length(intervals) / (seconds[-1] - seconds[1])) AS covered FROM ({with_parts})"
    )
    return (
        "SELECT agency, subject, length(seconds) AS connections, usual, score, timing, sized, sizing, "
        f"seconds[-1] - seconds[1] AS lasting FROM ({with_score}) WHERE {told.sql} ORDER BY score DESC, agency, subject LIMIT {_MOST_PAIRS}"
    )


def _finding(asked: Asked, row: Mapping[str, Any]) -> Finding:
    source, _, destination = row["subject"].partition(SEPARATOR)
    return Finding(
        agency=row["agency"],
        subject=row["subject"],
        population=PAIRS,
        since=asked.window.end - _DAY,
        until=asked.window.end,
        details={
            "source": source,
            "destination": destination,
            "observed": round(row["score"], 3),
            "expected": 0,
            "threshold": asked.settings.beacon.score,
            "unit": "score of regularity",
            "connections": row["connections"],
            "interval_seconds": row["usual"],
            "hours": round(row["lasting"] / 3600, 1),
            "timing": round(row["timing"], 3),
            "sizes": round(row["sizing"], 3) if row["sized"] else None,
        },
    )
