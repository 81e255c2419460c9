"""A host that sends far more to the outside than it did before, and than the other hosts of its agency do.

Method: the bytes each internal host sent outside (`bytes_src` of events to the outside) in the hour just past, and in the 24 hours. Told
when they are above all of
- a floor (`hour_mb`, 500; `day_mb`, 2,000);
- its own history: the median and `deviations` (6) median absolute deviations of the hours in which it sent something in the last seven
  days, and one and a half times the highest of them but for 2 %, so that a nightly copy is known; of whole days, the seven days before. It
  needs 24 such hours, or three such days;
- its peers: the median and as many deviations of the agency's other hosts in the same time. It needs `min_peers` (5).
Where there is neither history nor peers, nothing is told. Told of a host once a day for hours and once for days. What each host sent in an
hour is remembered, so that only the hour just past is read from the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final

from core.baseline_settings import BaselineSettings
from detect.baselines.detector import LIMITS, About, Asked, Finding, Outcome
from detect.baselines.memory import Seen, Subject
from detect.baselines.population import OUTBOUND, SEPARATOR, Population, text
from detect.baselines.seasons import Usual

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_HISTORY: Final = timedelta(days=7)
_HIGHEST: Final = 0.98
_MORE: Final = 1.5
_MEGABYTE: Final = 1_000_000


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
        """The hosts that sent too much in the hour, and in the day; what all of them sent in the hour is to be remembered."""
        settings, window = asked.settings.outbound, asked.window
        hour = await _sent(asked)
        earlier = await asked.memory.sums(self.about.word, window.tick, window.end - _DAY, window.start)
        day = {host: hour.get(host, 0) + earlier.get(host, 0) for host in {**hour, **earlier}}
        findings = await _at_scale(asked, HOUR, hour, settings.hour_mb) + await _at_scale(asked, DAY, day, settings.day_mb)
        return Outcome(findings, sums=[Seen(*host, window.start, count) for host, count in sorted(hour.items())])


async def _at_scale(asked: Asked, scale: Scale, sent: Mapping[Subject, int], floor_mb: int) -> list[Finding]:
    settings, floor = asked.settings.outbound, floor_mb * _MEGABYTE
    large = sorted(host for host, count in sent.items() if count > floor)
    if not large:
        return []
    end = asked.window.end - scale.length
    history = await asked.memory.stretches(Outbound.about.word, asked.window.tick, end - _HISTORY, end, scale.length, large)
    findings = []
    for host in large:
        peers = [count for other, count in sent.items() if other[0] == host[0] and other != host]
        threshold = threshold_of(history.get(host, []), peers, floor, settings.deviations, scale.least_history, settings.min_peers)
        if threshold and sent[host] > threshold.bytes:
            findings.append(_finding(asked, scale, *host, sent[host], threshold))
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


async def _sent(asked: Asked) -> dict[Subject, int]:
    """What each host sent outside in the window, in bytes, by agency and address."""
    where = Population(OUTBOUND, "").where(asked.agencies, asked.window.start, asked.window.end)
    found = await asked.store.query(
        f"SELECT agency, {text('src_ip')} AS host, sum(bytes_src) AS sent FROM events WHERE {where.sql} "
        "GROUP BY agency, src_ip HAVING sent > 0",
        where.params,
        LIMITS,
    )
    return {(row["agency"], row["host"]): row["sent"] for row in found.to_pylist()}


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
