"""A host that sends far more to the outside than it did before, and than the other hosts of its agency do.

Method: the bytes each internal host sent outside (`bytes_src` of events to the outside) in the hour just past, and in the 24 hours. Told
when they are above all of
- a floor (`hour_mb`, 500; `day_mb`, 2,000);
- its own history: the median and `deviations` (6) median absolute deviations of the hours in which it sent something in the last seven
  days, and one and a half times the highest of them but for 2 %, so that a nightly copy is known; of whole days, the seven days before. It
  needs 24 such hours, or three such days;
- its peers: the median and as many deviations of the agency's other hosts in the same time. It needs `min_peers` (5).
Where there is neither history nor peers, nothing is told. Told of a host once a day for hours and once for days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from core.baseline_settings import BaselineSettings
from core.storage.event_queries import Where
from core.storage.rows import address_text
from detect.baselines.detector import LIMITS, About, Asked, Finding, Outcome
from detect.baselines.population import OUTBOUND, SEPARATOR, Population, text
from detect.baselines.seasons import Usual

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_HISTORY_DAYS: Final = 7
_HIGHEST: Final = 0.98
_MORE: Final = 1.5
_MEGABYTE: Final = 1_000_000
_START: Final = "toStartOfHour(received_at)"
_HOST: Final = f"if({OUTBOUND}, src_ip, NULL)"  # as in the projection `hosts`


@dataclass(frozen=True, slots=True)
class Scale:
    """A length of time that is compared with others of the same length."""

    word: str
    length: timedelta
    least_history: int

    @property
    def population(self) -> Population:
        return Population(OUTBOUND, f"concat_ws('{SEPARATOR}', '{self.word}', {text('src_ip')})")


HOUR: Final = Scale("hour", _HOUR, 24)
DAY: Final = Scale("day", _DAY, 3)


@dataclass(frozen=True, slots=True)
class Threshold:
    """More than `bytes` is told of; `expected` is the median of its history, else of its peers. A part without comparison is None."""

    bytes: float
    expected: float
    own: float | None
    peers: float | None


class Outbound:
    """The detector."""

    about = About(
        word="outbound",
        rule_id="d8b35f60-4a9e-4c27-95e1-0b6c8d2f4a66",
        title="Host sends far more to the outside than usual",
        title_ko="호스트가 외부로 평소보다 매우 많은 데이터를 전송함",
        level="high",
        tags=("attack.exfiltration", "attack.t1048"),
        every=_HOUR,
        repeat=_DAY,
    )

    def enabled(self, settings: BaselineSettings) -> bool:
        return settings.outbound.enabled

    async def evaluate(self, asked: Asked) -> Outcome:
        """The hosts that sent too much in the hour, and in the day."""
        settings = asked.settings.outbound
        floors = {HOUR: settings.hour_mb * _MEGABYTE, DAY: settings.day_mb * _MEGABYTE}
        return Outcome([finding for scale, floor in floors.items() for finding in await _at_scale(asked, scale, floor)])


async def _at_scale(asked: Asked, scale: Scale, floor: int) -> list[Finding]:
    settings, end = asked.settings.outbound, asked.window.end
    sent = await _sent(asked, end - scale.length, end)
    large = {key for key, count in sent.items() if count > floor}
    if not large:
        return []
    history = await _history(asked, scale, {address for _, address in large})
    findings = []
    for agency, address in sorted(large):
        peers = [count for (of, other), count in sent.items() if of == agency and other != address]
        own = history.get((agency, address), [])
        threshold = threshold_of(own, peers, floor, settings.deviations, scale.least_history, settings.min_peers)
        if threshold and sent[agency, address] > threshold.bytes:
            findings.append(_finding(asked, scale, agency, address_text(address), sent[agency, address], threshold))
    return findings


def threshold_of(
    own: Sequence[float], peers: Sequence[float], floor: float, deviations: float, least_history: int, least_peers: int
) -> Threshold | None:
    """What a host may send, from what it sent before and what others send, in bytes; None when there is too little to compare with."""
    of_own = of_peers = None
    expected = 0.0
    if len(peers) >= least_peers:
        usual = Usual.of(peers)
        expected, of_peers = usual.median, usual.median + deviations * usual.deviation
    if len(own) >= least_history:
        usual = Usual.of(own)
        highest = sorted(own)[ceil(_HIGHEST * len(own)) - 1]
        expected, of_own = usual.median, max(usual.median + deviations * usual.deviation, _MORE * highest)
    if of_own is None and of_peers is None:
        return None
    return Threshold(max(floor, of_own or 0.0, of_peers or 0.0), expected, of_own, of_peers)


async def _sent(asked: Asked, since: datetime, until: datetime) -> Mapping[tuple[str, bytes], int]:
    """Bytes by agency and host."""
    where = _hours(asked, since, until)
    found = await asked.store.query(
        f"SELECT agency, {_HOST} AS host, sum(bytes_src) AS sent FROM events WHERE {where.sql} AND isNotNull(host) "
        "GROUP BY agency, host HAVING sent > 0",
        where.params,
        LIMITS,
    )
    return {(row["agency"], row["host"]): row["sent"] for row in found.to_pylist()}


async def _history(asked: Asked, scale: Scale, hosts: Iterable[bytes]) -> Mapping[tuple[str, bytes], list[float]]:
    """Bytes of each earlier stretch of that length in which a host sent something, by agency and host."""
    end = asked.window.end - scale.length
    where = _hours(asked, end - _HISTORY_DAYS * _DAY, end)
    where.add(lambda p: f"host IN {p}", ("Array(IPv6)", [address_text(host) for host in sorted(hosts)]))
    where.params["length"] = int(scale.length.total_seconds())
    where.params["end"] = int(end.timestamp())
    stretches = f"intDiv({{end:Int64}} - toUnixTimestamp({_START}) - 1, {{length:Int64}})"
    found = await asked.store.query(
        f"SELECT agency, host, groupArray(toFloat64(sent)) AS history FROM (SELECT agency, {_HOST} AS host, {stretches} AS stretch, "
        f"sum(bytes_src) AS sent FROM events WHERE {where.sql} GROUP BY agency, host, stretch HAVING sent > 0) GROUP BY agency, host",
        where.params,
        LIMITS,
    )
    return {(row["agency"], row["host"]): row["history"] for row in found.to_pylist()}


def _hours(asked: Asked, since: datetime, until: datetime) -> Where:
    where = Where()
    asked.agencies.add_to(where)
    where.between(_START, since, until)
    return where


def _finding(asked: Asked, scale: Scale, agency: str, host: str, sent: int, threshold: Threshold) -> Finding:
    parts: dict[str, Any] = {"own_threshold": threshold.own, "peers_threshold": threshold.peers}
    return Finding(
        agency=agency,
        subject=f"{scale.word}{SEPARATOR}{host}",
        population=scale.population,
        since=asked.window.end - scale.length,
        until=asked.window.end,
        details={
            "host": host,
            "observed": sent,
            "expected": round(threshold.expected),
            "threshold": round(threshold.bytes),
            "unit": f"bytes a {scale.word}",
            **{name: None if value is None else round(value) for name, value in parts.items()},
        },
    )
