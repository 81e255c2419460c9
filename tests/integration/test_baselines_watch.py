"""Ticks: each once and in order, the same again after a crash, made up after downtime, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core import arrow, topics
from core.baseline_settings import BaselineSettings
from core.bus.contract import Message
from core.bus.progress import Progress
from core.database import Database
from core.errors import QueryTooCostly, StoreUnavailable
from core.events import DETECTIONS, EVENTS
from core.storage.contract import Store
from core.storage.writer import TableWriter, highest_offsets
from detect.baselines.beacon import Beacon
from detect.baselines.detector import Asked, Detector, Window
from detect.baselines.evidence import detections
from detect.baselines.falling import Falling
from detect.baselines.first_seen import FirstSeen
from detect.baselines.memory import SLOT, WATCH, Memory
from detect.baselines.outbound import Outbound
from detect.baselines.rare import Rare
from detect.baselines.silence import Silence
from detect.baselines.watch import Watch
from respond.stage import RespondStage
from tests.baselines import EVERYONE, NOON, Lab, ago, open_lab
from tests.rows import ipv4, rows
from tests.servers.api import settings_for

HOUR = timedelta(hours=1)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path) as opened:
        yield opened


async def beacons(lab: Lab, hours: float = 6, source: str = "10.0.0.9") -> None:
    """A beacon each two minutes, from so long before NOON to as long after."""
    count = int(hours * 60)
    await lab.events(ago(hours=hours), 120, count, log_class="'firewall'", src_ip=f"toIPv6('{source}')", dst_ip="toIPv6('203.0.113.66')")


async def fail_to_remember(watch: Watch) -> None:
    """A crash after the detections went out and before the tick was remembered."""

    async def crash(*_: object) -> None:
        raise StoreUnavailable("killed")

    write = watch._memory.write
    watch._memory.write = crash  # type: ignore[method-assign]
    await watch._guarded("beacon", watch._do(Beacon(), Window(NOON - HOUR, NOON)))
    watch._memory.write = write  # type: ignore[method-assign]
    assert "killed" in watch.problem


async def test_a_tick_done_again_after_a_crash_is_the_same(lab: Lab) -> None:
    await beacons(lab)
    await beacons(lab, source="10.0.0.10")
    await fail_to_remember(lab.watch("beacon"))
    lab.clock.advance(timedelta(minutes=7))
    await lab.watch("beacon").step()
    first, again = await lab.messages()
    assert first.num_rows == 2
    assert again.drop_columns(["detected_at"]).equals(first.drop_columns(["detected_at"]))
    position = first.select(["raw_epoch", "raw_partition", "raw_offset", "raw_line"]).to_pylist()
    tick = int(NOON.timestamp() // 60)
    assert position == [{"raw_epoch": "baselinebeacon", "raw_partition": 0, "raw_offset": tick, "raw_line": line} for line in (0, 1)]
    assert first["detection_id"][0].as_py() == f"{Beacon.about.rule_id}:baselinebeacon-0-{tick}-0"


async def test_what_comes_twice_is_stored_once_and_one_incident(lab: Lab, tmp_path: Path) -> None:
    await beacons(lab)
    await fail_to_remember(lab.watch("beacon"))
    await lab.watch("beacon").step()
    consumer = await lab.bus.consumer("store-detections", [topics.DETECTIONS])
    records = await consumer.poll(max_messages=10, max_bytes=1 << 30, timeout=1)
    assert len(records) == 2
    await consumer.close()

    await TableWriter(lab.store, DETECTIONS).handle(records, 1)
    found = await lab.store.query("SELECT kind, origin, details != '' AS told FROM detections")
    assert found.to_pylist() == [{"kind": "baseline", "origin": "stream", "told": 1}]
    assert await highest_offsets(lab.store, DETECTIONS) == {("baselinebeacon", 0): int(NOON.timestamp() // 60)}

    database = Database(f"sqlite:///{tmp_path / 'records.db'}", lab.clock)
    database.migrate()
    database.start()
    await RespondStage(database, settings_for(tmp_path), lab.clock).handle(records, 1)
    with database.session() as session:
        incidents = session.connection().exec_driver_sql("SELECT agency, title, severity FROM incidents").all()
    database.close()
    assert incidents == [("gangnam", Beacon.about.title, "medium")]


async def test_each_tick_is_done_once_and_in_order(lab: Lab) -> None:
    await lab.run(lab.watch(), NOON + timedelta(hours=2, minutes=7))
    await lab.run(lab.watch(), NOON + timedelta(hours=3))
    done = lab.session.arrow(
        "SELECT detector, tick, count() AS n FROM baseline_memory WHERE subject = '' GROUP BY 1, 2 ORDER BY 1, 2"
    ).to_pylist()
    assert all(row["n"] == 1 for row in done)
    ticks: dict[str, list[int]] = {}
    for row in done:
        ticks.setdefault(row["detector"], []).append(row["tick"] - int(NOON.timestamp() // 60))
    hourly = [0, 60, 120, 180]
    assert {word: ticks[word] for word in ("falling", "rare", "beacon", "outbound")} == dict.fromkeys(
        ("falling", "rare", "beacon", "outbound"), hourly
    )
    assert ticks["silence"] == ticks["firstseen"] == list(range(0, 181, 5))
    # the slot in which one watch ended and the other began is nobody's
    assert ticks[WATCH] == [minute for minute in range(5, 181, 5) if minute != 130]


async def test_missed_ticks_are_made_up_but_not_of_more_than_a_day(lab: Lab) -> None:
    await lab.watch("beacon").step()
    lab.clock.advance(timedelta(hours=5))
    await lab.watch("beacon").step()
    lab.clock.advance(timedelta(days=3))
    await lab.watch("beacon").step()
    ticks = lab.session.arrow("SELECT tick FROM baseline_memory WHERE detector = 'beacon' AND subject = '' ORDER BY tick")[0].to_pylist()
    hours = [(tick - int(NOON.timestamp() // 60)) // 60 for tick in ticks]
    assert hours == [0, 1, 2, 3, 4, 5, *range(5 + 72 - 23, 5 + 72 + 1)]


async def test_a_window_waits_for_the_lag_and_for_the_store(lab: Lab) -> None:
    watch = lab.watch("beacon", lag_seconds=600)
    lab.clock.advance(timedelta(minutes=59))
    await lab.run(watch, NOON + timedelta(minutes=69))
    assert await _newest(lab, "beacon") == NOON
    await lab.bus.produce(topics.EVENTS, [Message(arrow.encode(rows(1)))])  # received and not stored
    await lab.run(watch, NOON + timedelta(minutes=90))
    assert await _newest(lab, "beacon") == NOON, "an event of the window may still be on its way"
    consumer = await lab.bus.consumer("store-events", [topics.EVENTS])
    await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=1)
    for partition, end in (await lab.bus.end_offsets(topics.EVENTS)).items():
        await consumer.commit({(topics.EVENTS, partition): end})
    await consumer.close()
    await watch.step()
    await watch.step()
    assert await _newest(lab, "beacon") == NOON + HOUR


async def _newest(lab: Lab, detector: str) -> datetime | None:
    ticks = await Memory(lab.store).last_ticks()
    return datetime.fromtimestamp(ticks[detector] * 60, NOON.tzinfo) if detector in ticks else None


async def test_progress_is_as_old_as_the_oldest_line_on_its_way(lab: Lab) -> None:
    progress = Progress(lab.bus, [[("first", topics.LOGS_RAW)], [("second", topics.EVENTS)]])
    assert await progress.reached(NOON) == NOON
    await lab.bus.produce(topics.LOGS_RAW, [Message(b"a line", partition=0)])
    assert await progress.reached(NOON + HOUR) == NOON
    await _read(lab, "first", topics.LOGS_RAW)
    await lab.bus.produce(topics.EVENTS, [Message(b"its event", partition=0)])
    assert await progress.reached(NOON + 2 * HOUR) == NOON
    await _read(lab, "second", topics.EVENTS)
    assert await progress.reached(NOON + 3 * HOUR) == NOON + HOUR
    assert await progress.reached(NOON + 4 * HOUR) == NOON + 4 * HOUR


async def _read(lab: Lab, group: str, topic: str) -> None:
    consumer = await lab.bus.consumer(group, [topic])
    (record,) = await consumer.poll(max_messages=1, max_bytes=1 << 20, timeout=1)
    await consumer.commit({(topic, record.partition): record.offset + 1})
    await consumer.close()


async def test_a_tick_that_is_too_much_is_given_up_and_the_next_is_done(lab: Lab) -> None:
    await beacons(lab)
    watch = lab.watch("beacon", "silence")
    query = lab.store.query

    async def too_much(sql: str, params: Any = None, limits: Any = None) -> pa.Table:
        if "intervals" in sql:
            raise QueryTooCostly("too much memory")
        return await query(sql, params, limits)

    lab.store.query = too_much  # type: ignore[method-assign]
    await watch.step()
    assert (watch.problem, await lab.told()) == ("", [])
    lab.store.query = query  # type: ignore[method-assign]
    await lab.run(watch, NOON + HOUR)
    assert len(await lab.told()) == 1


async def test_a_store_that_is_away_is_asked_again(lab: Lab) -> None:
    await beacons(lab)
    watch = lab.watch("beacon", "silence")
    query = lab.store.query

    async def away(sql: str, params: Any = None, limits: Any = None) -> pa.Table:
        if "intervals" in sql:
            raise StoreUnavailable("no answer")
        return await query(sql, params, limits)

    lab.store.query = away  # type: ignore[method-assign]
    await watch.step()
    assert "no answer" in watch.problem
    assert await _newest(lab, "silence") == NOON, "the others go on"
    lab.store.query = query  # type: ignore[method-assign]
    await watch.step()
    assert await lab.told() == [], "it rests a while"
    lab.clock.advance(timedelta(minutes=1))
    await watch.step()
    assert (watch.problem, len(await lab.told())) == ("", 1)


async def test_the_service_runs_until_it_is_cancelled(lab: Lab) -> None:
    await beacons(lab)
    running = asyncio.create_task(lab.watch("beacon").run())
    async with asyncio.timeout(20):
        while not await lab.told():  # waits a little itself
            pass
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


# ---- every store ----


def events(first: int, times: Sequence[datetime], **columns: Any) -> pa.Table:
    given: Mapping[str, Any] = {"raw_offset": first, "received_at": list(times), "event_time": list(times), "log_class": "firewall"}
    return rows(len(times), EVENTS, **(given | columns))


def every(seconds: float, since: datetime, count: int) -> list[datetime]:
    return [since + timedelta(seconds=seconds * number) for number in range(count)]


async def fill(store: Store) -> None:
    """A source that fell silent, one that sends less, a rare port, a beacon and a host that sent too much; one day each insert."""
    outbound: Mapping[str, Any] = {"src_ip": ipv4(10, 0, 0, 9), "dst_ip": ipv4(203, 0, 113, 66), "disposition": "allow"}
    await store.insert("events", events(1, every(60, ago(days=1, hours=2), 180), source="quiet"), "a")
    await store.insert("events", events(2, every(10, ago(days=1, hours=2), 1080), source="less"), "b")
    await store.insert("events", events(3, every(60, NOON - HOUR, 60), source="less"), "c")
    await store.insert("events", events(4, every(120, ago(hours=3, minutes=-1), 89), dst_port=443, bytes_src=100, **outbound), "d")
    await store.insert("events", events(5, [ago(minutes=20)], dst_port=4444, bytes_src=9 * 10**9, **(outbound | {"source": "new"})), "e")
    for host in range(20, 26):
        peer = outbound | {"src_ip": ipv4(10, 0, 0, host)}
        await store.insert("events", events(host, every(300, ago(minutes=50), 5), dst_port=443, bytes_src=1000, **peer), f"p{host}")


@pytest.mark.parametrize(
    ("detector", "settings", "subject"),
    [
        (Silence(), {"silence": {"learn_hours": 2}}, "quiet"),
        (Falling(), {"falling": {"learn_hours": 2}}, "less"),
        (FirstSeen(), {"first_seen": {"learn_days": 0}}, "source_format|new|fortigate"),
        (Rare(), {"rare": {"share": 0.02, "tail": 0.5, "min_events": 100}}, "outbound_port|4444"),
        (Beacon(), {"beacon": {"min_hours": 1, "score": 0.6}}, "10.0.0.9|203.0.113.66"),
        (Outbound(), {}, "hour|10.0.0.9"),
    ],
    ids=lambda value: value.about.word if hasattr(value, "about") else "",
)
async def test_each_detector_on_each_store(any_store: Store, detector: Detector, settings: dict[str, Any], subject: str) -> None:
    await fill(any_store)
    memory = Memory(any_store)
    for slot in every(300, ago(hours=3), 36):
        await memory.write(WATCH, Window(slot, slot + SLOT).tick, (), slot)
    chosen = BaselineSettings.model_validate(settings)
    if detector.about.word == "firstseen":
        end = ago(minutes=25)
        learned = await detector.evaluate(Asked(any_store, memory, Window(end - SLOT, end), EVERYONE, chosen))
        await memory.write("firstseen", Window(end, end).tick, learned.seen, end)
    end = ago(minutes=15) if detector.about.word == "firstseen" else NOON
    window = Window(end - detector.about.every, end)
    outcome = await detector.evaluate(Asked(any_store, memory, window, EVERYONE, chosen))
    assert subject in {finding.subject.replace("\x1f", "|") for finding in outcome.findings}
    found = await detections(any_store, detector.about, window, [(finding, chosen) for finding in outcome.findings], NOON)
    assert found.schema.equals(DETECTIONS.schema)
    assert found.num_rows == len(outcome.findings)
    found.validate(full=True)
    await any_store.insert("detections", found, "found")
    assert await highest_offsets(any_store, DETECTIONS) == {(f"baseline{detector.about.word}", 0): window.tick}


async def test_a_row_is_remembered_once(any_store: Store) -> None:
    memory = Memory(any_store)
    for _ in range(3):
        await memory.write("silence", 5, (), NOON)
    assert (await any_store.query("SELECT count() AS n FROM baseline_memory"))["n"].to_pylist() == [1]
    assert await memory.last_ticks() == {"silence": 5}
