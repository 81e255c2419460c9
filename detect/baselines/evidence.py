"""Findings as rows of DETECTIONS: with the newest of their events, the names of some of them, and a place in the detector's own order.

The place (`core.topics`): epoch `baseline<word>`, partition 0, the tick as offset, and the finding's place among those of its tick, by
agency and subject. All rows of a tick say they were received at its window's end, so they are one partition of the table.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from core.baseline_settings import BaselineSettings
from core.events import DETECTIONS, EVENTS, Kind, event_id
from core.storage.contract import Store
from core.storage.event_queries import Where
from detect.baselines.detector import LIMITS, About, Finding, Window
from detect.baselines.memory import Subject
from detect.baselines.population import Agencies, Population

MOST_EVENTS: Final = 20
_EVERYONE: Final = Agencies(frozenset(), all_but=True)
_TIME: Final = "DateTime64(3, 'UTC')"
_POSITION: Final = ("raw_epoch", "raw_partition", "raw_offset", "raw_line")
_ID: Final = "concat(raw_epoch, '-', toString(raw_partition), '-', toString(raw_offset), '-', toString(raw_line))"
_COLUMNS: Final = ", ".join(f"`{name}`" for name in EVENTS.names)
_KEPT: Final = frozenset(DETECTIONS.names) & frozenset(EVENTS.names)
_BLANK: Final = {
    column.name: None if column.nullable else "" if column.kind.is_text else 0
    for column in DETECTIONS.columns
    if column.kind is not Kind.TIME
}


def epoch_of(about: About) -> str:
    """The epoch of the detector's positions."""
    return f"baseline{about.word}"


async def detections(
    store: Store, about: About, window: Window, findings: Sequence[tuple[Finding, BaselineSettings]], now: datetime
) -> pa.Table:
    """The detections of one tick, in order, each with the settings it was found by; columns of DETECTIONS."""
    ordered = sorted(findings, key=lambda found: (found[0].agency, found[0].subject))
    known = await _events_of(store, [finding for finding, _ in ordered])
    rows = [_row(about, window, place, finding, settings, known, now) for place, (finding, settings) in enumerate(ordered)]
    return pa.Table.from_pylist(rows, schema=DETECTIONS.schema)


def _row(
    about: About,
    window: Window,
    place: int,
    finding: Finding,
    settings: BaselineSettings,
    known: Mapping[Subject, Mapping[str, Any]],
    now: datetime,
) -> dict[str, Any]:
    events = known.get((finding.agency, finding.subject), {})
    newest = {name: value for name, value in events.get("newest", {}).items() if name in _KEPT}
    details = {
        "title_ko": f"{about.title_ko}: {finding.title_ko}" if finding.title_ko else about.title_ko,
        "window": {"since": _text(finding.since), "until": _text(finding.until)},
        **finding.details,
        "events": events.get("ids", []),
        "event_count": events.get("count", 0),
    }
    position = {"raw_epoch": epoch_of(about), "raw_partition": 0, "raw_offset": window.tick, "raw_line": place}
    return {
        **_BLANK,
        "event_time": window.end,
        **newest,
        **finding.columns,
        **position,
        "agency": finding.agency,
        "received_at": window.end,
        "detected_at": now,
        "detection_id": f"{about.rule_id}:{event_id(epoch_of(about), 0, window.tick, place)}",
        "rule_id": about.rule_id,
        "rule_title": f"{about.title}: {finding.title}" if finding.title else about.title,
        "rule_level": finding.level or about.level,
        "rule_hash": _hash(about, settings),
        "rule_tags": ",".join(about.tags),
        "kind": "baseline",
        "origin": "stream",
        "details": json.dumps(details, ensure_ascii=False),
    }


def _hash(about: About, settings: BaselineSettings) -> str:
    """Changes when the detector's settings do."""
    return hashlib.sha256(f"{about.word}\n{settings.model_dump_json(exclude={'agencies'})}".encode()).hexdigest()[:16]


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def _events_of(store: Store, findings: Sequence[Finding]) -> dict[Subject, dict[str, Any]]:
    """By agency and subject: how many events, the ids of the first of them, and the newest one's columns."""
    alike: dict[tuple[Population, datetime, datetime], list[Finding]] = defaultdict(list)
    for finding in findings:
        alike[finding.population, finding.since, finding.until].append(finding)
    known: dict[Subject, dict[str, Any]] = {}
    for same in alike.values():
        known |= await _counted(store, same)
    await _add_newest(store, known)
    return known


async def _counted(store: Store, findings: Sequence[Finding]) -> dict[Subject, dict[str, Any]]:
    """The same without the newest one's columns, of findings about the same events and time."""
    population = findings[0].population
    where = population.where(_EVERYONE, findings[0].since, findings[0].until)
    where.add(
        lambda agencies, subjects: (
            f"(agency, {population.subject}) IN (SELECT pair.1, pair.2 FROM (SELECT arrayJoin(arrayZip({agencies}, {subjects})) AS pair))"
        ),
        ("Array(String)", [one.agency for one in findings]),
        ("Array(String)", [one.subject for one in findings]),
    )
    place = f"(event_time, {', '.join(_POSITION)})"
    newest = ", ".join(f"tupleElement(newest, {index}) AS {name}" for index, name in enumerate(_POSITION, start=2))
    found = await store.query(
        f"SELECT agency, subject, count, arrayMap(one -> tupleElement(one, 2), first) AS ids, {newest}, received FROM ("
        f"SELECT agency, {population.subject} AS subject, count() AS count, groupArraySorted({MOST_EVENTS})((event_time, {_ID})) AS first, "
        f"max({place}) AS newest, argMax(received_at, {place}) AS received FROM events WHERE {where.sql} GROUP BY agency, subject)",
        where.params,
        LIMITS,
    )
    return {(row.pop("agency"), row.pop("subject")): row for row in found.to_pylist()}


async def _add_newest(store: Store, known: dict[Subject, dict[str, Any]]) -> None:
    """Put the row of the newest event of each subject beside its figures."""
    if not known:
        return
    received = [one["received"].astimezone(UTC) for one in known.values()]
    where = Where()
    where.add(lambda a, b: f"received_at >= {a} AND received_at <= {b}", *((_TIME, at) for at in (min(received), max(received))))
    where.add(lambda p: f"raw_offset IN {p}", ("Array(UInt64)", sorted({one["raw_offset"] for one in known.values()})))
    where.add(
        lambda ids: f"{_ID} IN {ids}", ("Array(String)", sorted({event_id(*(one[name] for name in _POSITION)) for one in known.values()}))
    )
    found = await store.query(f"SELECT {_COLUMNS} FROM events WHERE {where.sql}", where.params, LIMITS)
    rows = {event_id(*(row[name] for name in _POSITION)): row for row in found.to_pylist()}
    for one in known.values():
        one["newest"] = rows.get(event_id(*(one[name] for name in _POSITION)), {})
