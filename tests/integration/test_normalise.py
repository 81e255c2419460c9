"""Records in, rows out: every line in exactly one table, in order, with what intake did to it; through the real engine and the real bus."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from core import arrow, topics
from core.bus.contract import Consumer, Record
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.errors import NotFound, StoreError
from core.events import EVENTS, QUARANTINE, UNKNOWN_AGENCY, IntakeFlag
from core.stage import Stage
from ingest import parser, rawbatch
from ingest.compile import ParserSet, Statement
from ingest.encoding import to_text
from ingest.normalise import Normaliser
from ingest.parse import MALFORMED, NO_PARSER, PARSER_FAILED
from ingest.parse_lines import parse_lines
from ingest.rawbatch import Origin
from ingest.stage import NormaliseStage, _shares
from tests.parsing import AT, NOW, asa, fortigate, opened, record


@pytest.fixture(scope="module")
def normaliser() -> Iterator[Normaliser]:
    with opened() as normaliser:
        yield normaliser


def positions(table: pa.Table) -> list[tuple[int, int]]:
    return list(zip(table["raw_offset"].to_pylist(), table["raw_line"].to_pylist(), strict=True))


def flags(table: pa.Table) -> list[IntakeFlag]:
    return [IntakeFlag(value) for value in table["intake_flags"].to_pylist()]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_rows_have_the_schemas_and_the_columns_of_intake(normaliser: Normaliser) -> None:
    origin = Origin("gu", "fw-1", "tls", "2001:db8::1", IntakeFlag.TRUNCATED)
    done = normaliser.normalise([record([fortigate(7), b"unknown"], offset=9, partition=3, origin=origin)], "e1")
    assert done.events.schema.equals(EVENTS.schema)
    assert done.quarantine.schema.equals(QUARANTINE.schema)
    done.events.validate(full=True)
    done.quarantine.validate(full=True)
    (event,) = done.events.to_pylist()
    (bad,) = done.quarantine.to_pylist()
    assert (event["raw_epoch"], event["raw_partition"], event["raw_offset"], event["raw_line"]) == ("e1", 3, 9, 0)
    assert (event["agency"], event["source"], event["transport"], event["received_at"]) == ("gu", "fw-1", "tls", NOW)
    assert event["peer_ip"][:4] == b"\x20\x01\x0d\xb8"
    assert event["raw"] == fortigate(7).decode()
    assert (event["parser"], event["vendor"], event["product"], event["log_class"]) == ("fortigate", "Fortinet", "FortiGate", "firewall")
    assert (event["src_ip"][-4:], event["dst_port"], event["src_nat_ip"], event["user"]) == (b"\x0a\0\0\x07", 443, None, "")
    assert event["event_time"] == datetime.fromtimestamp(AT / 1000, UTC)
    assert flags(done.events) == flags(done.quarantine) == [IntakeFlag.TRUNCATED]
    assert (bad["raw"], bad["reason"], bad["raw_line"]) == ("unknown", NO_PARSER, 1)


def test_mixed_lines_of_many_sources_stay_in_order(normaliser: Normaliser) -> None:
    """Twice: what is remembered of a source must not change what its lines become."""
    records = [
        record([fortigate(1), b"noise", asa(2), b"", fortigate(3)], offset=5, origin=Origin("gu", "mixed", "udp")),
        record([asa(4)] * 3, offset=6, origin=Origin("si", "asa", "udp")),
        record([fortigate(9), b"CEF:0|broken"], offset=8, origin=Origin("si", "fgt", "udp")),
    ]
    first, second = (normaliser.normalise(records, "e1") for _ in range(2))
    assert first.events.equals(second.events)
    assert first.quarantine.equals(second.quarantine)
    assert positions(first.events) == [(5, 0), (5, 2), (5, 4), (6, 0), (6, 1), (6, 2), (8, 0)]
    assert first.events["parser"].to_pylist() == ["fortigate", "cisco_asa", "fortigate", "cisco_asa", "cisco_asa", "cisco_asa", "fortigate"]
    assert first.events["agency"].to_pylist() == ["gu"] * 3 + ["si"] * 4
    assert positions(first.quarantine) == [(5, 1), (8, 1)]
    assert first.quarantine["reason"].to_pylist() == [NO_PARSER, MALFORMED]
    assert [one["detail"] for one in first.quarantine.to_pylist()] == ["no parser knows this format", "cef: ends inside the CEF header"]


def test_only_a_source_of_one_product_is_remembered(normaliser: Normaliser) -> None:
    def remembered(source: str, lines: list[bytes]) -> str:
        normaliser.normalise([record(lines, origin=Origin("gu", source, "udp"))], "e1")
        found = normaliser.lines._remembered.get(("gu", source))
        return found.name if found else ""

    assert remembered("steady", [fortigate(host) for host in range(9)] + [b"noise"]) == "fortigate"
    assert remembered("relay", [fortigate(1), asa(1), fortigate(2), asa(2)]) == ""
    assert remembered("steady", [fortigate(1), asa(1), b"noise"]) == ""
    assert remembered("new", [b"src=10.0.0.1 dst=10.0.0.2 action=deny"] * 9) == ""


def test_many_messages_of_a_line_are_told_apart(normaliser: Normaliser) -> None:
    said = [fortigate(7), b"", b"noise", asa(3), b"\xc7\xd1 noise"]
    records = [record([said[n % 5]], offset=n, origin=Origin(f"gu-{n % 2}", f"s-{n}", "udp")) for n in range(500)]
    done = normaliser.normalise(records, "e1")
    assert positions(done.events) == [(n, 0) for n in range(500) if n % 5 in (0, 3)]
    assert positions(done.quarantine) == [(n, 0) for n in range(500) if n % 5 in (2, 4)]
    assert done.events["source"].to_pylist() == [f"s-{n}" for n in range(500) if n % 5 in (0, 3)]
    assert done.events["agency"].to_pylist() == [f"gu-{n % 2}" for n in range(500) if n % 5 in (0, 3)]
    assert done.quarantine["raw"].to_pylist()[:2] == ["noise", "한 noise"]
    assert flags(done.quarantine)[:2] == [IntakeFlag.NONE, IntakeFlag.CP949]


def test_bytes_that_are_not_utf8_are_read_by_rule(normaliser: Normaliser) -> None:
    korean = fortigate().replace(b"FGT-1", "본청".encode("cp949"))
    neither = fortigate().replace(b"FGT-1", b"\xff\xfe")
    nul = fortigate().replace(b"FGT-1", b"F\0G\0T")
    wide = fortigate().replace(b"FGT-1", "구청".encode())
    done = normaliser.normalise([record([korean, neither, nul, wide + b"\r"])], "e1")
    assert done.events["device"].to_pylist() == ["본청", r"\xff\xfe", "FGT", "구청"]
    assert flags(done.events) == [IntakeFlag.CP949, IntakeFlag.UNDECODABLE, IntakeFlag.NUL_REMOVED, IntakeFlag.NONE]
    assert done.events["raw"].to_pylist()[3] == wide.decode()


def test_a_value_longer_than_its_column_is_not_cut_inside_a_character(normaliser: Normaliser) -> None:
    line = fortigate().replace(b"FGT-1", ("가" * 400).encode())
    (device,) = normaliser.normalise([record([line])], "e1").events["device"].to_pylist()
    assert device.startswith("가" * 80)
    assert device.encode("utf-8")


def test_empty_lines_are_counted_and_passed_over(normaliser: Normaliser) -> None:
    before = counted("bongsu_intake_empty_lines_total", transport="http")
    done = normaliser.normalise([record([b"", b"  \t ", fortigate(), b"\r", b"\0"], origin=Origin("gu", "x", "http"))], "e1")
    assert positions(done.events) == [(0, 2)]
    assert done.quarantine.num_rows == 0
    assert done.refused.select(["raw_offset", "raw_line", "reason", "lines", "source", "received_at"]).to_pylist() == [
        {"raw_offset": 0, "raw_line": 5, "reason": "blank", "lines": 4, "source": "x", "received_at": NOW}
    ]
    assert counted("bongsu_intake_empty_lines_total", transport="http") == before + 4
    nothing = normaliser.normalise([record([b"", b""])], "e1")
    assert (nothing.events.num_rows, nothing.quarantine.num_rows, nothing.refused["lines"].to_pylist()) == (0, 0, [2])


@pytest.mark.parametrize(("ahead", "skewed"), [(0, False), (23 * 60, False), (-25 * 60, True), (25 * 60, True)])
def test_a_clock_that_is_off_is_flagged_not_corrected(normaliser: Normaliser, ahead: int, skewed: bool) -> None:
    told = NOW + timedelta(minutes=ahead)
    done = normaliser.normalise([record([fortigate(at=int(told.timestamp() * 1000))])], "e1")
    assert done.events["event_time"].to_pylist() == [told]
    assert flags(done.events) == [IntakeFlag.CLOCK_SKEW if skewed else IntakeFlag.NONE]


def test_an_old_log_is_no_clock_that_is_off(normaliser: Normaliser) -> None:
    origin = Origin("gu", "archive", "file", flags=IntakeFlag.REPLAY)
    done = normaliser.normalise([record([fortigate(at=AT - 10**11)], origin=origin), record([fortigate(at=AT - 10**11)], offset=1)], "e1")
    assert done.events["event_time"].cast(pa.int64()).to_pylist() == [AT - 10**11] * 2
    assert flags(done.events) == [IntakeFlag.REPLAY, IntakeFlag.CLOCK_SKEW]


def test_a_line_without_a_time_has_the_time_of_receipt(normaliser: Normaliser) -> None:
    line = b"src=10.0.0.1 dst=10.0.0.2 action=deny"
    done = normaliser.normalise([record([line])], "e1")
    assert (done.events["parser"].to_pylist(), done.events["event_time"].to_pylist()) == (["generic_kv"], [NOW])
    assert flags(done.events) == [IntakeFlag.NONE]


def test_zoneless_times_are_of_the_sources_zone(normaliser: Normaliser) -> None:
    def told(zone: str) -> datetime:
        origin = Origin("gu", f"asa-{zone}", "udp", timezone=zone)
        (at,) = normaliser.normalise([record([asa()], origin=origin)], "e1").events["event_time"].to_pylist()
        return at  # type: ignore[no-any-return]

    assert told("") == datetime(2026, 3, 5, 6, tzinfo=UTC)
    assert told("UTC") == datetime(2026, 3, 5, 15, tzinfo=UTC)
    assert told("No/Such'Zone") == told("../etc/passwd") == told("")


def test_a_message_that_is_none_becomes_one_row(normaliser: Normaliser) -> None:
    good = record([fortigate()], offset=2)
    broken = replace(record([fortigate()] * 100, offset=1), value=b"\x28\xb5\x2f\xfd not zstd \0" + b"x" * 100_000)
    done = normaliser.normalise([broken, good, record([b"?"], offset=3)], "e1")
    assert positions(done.events) == [(2, 0)]
    assert positions(done.quarantine) == [(1, 0), (3, 0)]
    row = done.quarantine.to_pylist()[0]
    assert (row["reason"], row["agency"], row["source"]) == ("bad_message", "gu", "fw")
    assert row["raw"].startswith(r"(\xb5/\xfd not zstd \x00xxx")
    assert 65_000 < len(row["raw"]) < 66_000


def test_a_bare_line_of_an_agencys_own_producer(normaliser: Normaliser) -> None:
    done = normaliser.normalise([Record("logs.raw", 0, 4, fortigate(), {}, NOW)], "e1")
    (event,) = done.events.to_pylist()
    assert (event["agency"], event["source"], event["transport"], event["peer_ip"]) == (UNKNOWN_AGENCY, "", "kafka", None)
    assert flags(done.events) == [IntakeFlag.UNKNOWN_SOURCE]


def test_headers_that_are_nonsense_stop_nothing(normaliser: Normaliser) -> None:
    headers = {topics.H_RECEIVED_AT: "9" * 30, topics.H_FLAGS: "9" * 30, topics.H_PEER: "nowhere", topics.H_AGENCY: "gu"}
    done = normaliser.normalise([Record("logs.raw", 0, 4, fortigate(), headers, NOW)], "e1")
    assert done.events["received_at"].to_pylist() == [NOW]
    assert done.events["peer_ip"].to_pylist() == [None]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([fortigate(), asa(), b"CEF:0|a|b|c|d|e|5|src=1"])), min_size=1, max_size=30)
)
def test_every_line_is_accounted_for(normaliser: Normaliser, lines: list[bytes]) -> None:
    done = normaliser.normalise([record(lines, offset=1)], "e1")
    done.events.validate(full=True)
    done.quarantine.validate(full=True)
    found = sorted(positions(done.events) + positions(done.quarantine))
    assert found == [(1, int(place)) for place in to_text(lines).places]
    assert positions(done.events) == sorted(positions(done.events))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_real_lines_with_bytes_changed_are_accounted_for(normaliser: Normaliser, data: st.DataObject) -> None:
    files = sorted((parser.FOLDER / "samples").glob("*/*.log"))
    lines = data.draw(st.sampled_from(files)).read_bytes().splitlines()
    for _ in range(data.draw(st.integers(1, 10))):
        which = data.draw(st.integers(0, len(lines) - 1))
        at = data.draw(st.integers(0, len(lines[which])))
        lines[which] = lines[which][:at] + data.draw(st.binary(max_size=4)) + lines[which][at + data.draw(st.integers(0, 3)) :]
    done = normaliser.normalise([record(lines)], "e1")
    assert done.events.num_rows + done.quarantine.num_rows == len(to_text(lines).places)


FRAGILE = """\
name: fragile
version: 1
vendor: v
product: p
recognise: startsWith(line, 'fragile')
text: line
log_class: "'system'"
columns:
  bytes: throwIf(position(line, 'BOOM') > 0) + 1
"""


def test_a_row_that_fails_in_the_engine_does_not_take_its_batch_with_it(tmp_path: Path) -> None:
    (tmp_path / "fragile.yaml").write_text(FRAGILE, encoding="utf-8")
    parsers = ParserSet.load(tmp_path)
    with opened(parsers) as normaliser:
        lines = [f"fragile {'BOOM' if number in (3, 11) else number}".encode() for number in range(20)]
        for _ in range(2):
            done = normaliser.normalise([record(lines)], "e1")
            assert [line for _, line in positions(done.events)] == [number for number in range(20) if number not in (3, 11)]
            assert [(row["raw_line"], row["reason"]) for row in done.quarantine.to_pylist()] == [(3, PARSER_FAILED), (11, PARSER_FAILED)]
        parsers.by_name["fragile"]._statement = Statement("SELECT nonsense", "SELECT nonsense")
        with pytest.raises(StoreError):
            normaliser.normalise([record(lines)], "e1")


def test_parse_lines_gives_an_object_per_line_in_order(normaliser: Normaliser) -> None:
    lines = [fortigate(1) + b"\n", b"\n", b"nothing known", asa(2) + b"\r\n", fortigate(3)]
    found = list(parse_lines(normaliser, lines))
    assert [one.get("parser", one.get("quarantine")) for one in found] == ["fortigate", "empty", "no_parser", "cisco_asa", "fortigate"]
    assert (found[0]["src_ip"], found[0]["dst_port"], found[0]["event_time"]) == ("10.0.0.1", 443, "2026-03-05T05:59:58.000Z")
    assert "user" not in found[0]
    only = list(parse_lines(normaliser, lines, "cisco_asa"))
    assert [one.get("parser", one.get("quarantine")) for one in only] == ["no_parser", "empty", "no_parser", "cisco_asa", "no_parser"]
    with pytest.raises(NotFound, match="fortigate"):
        list(parse_lines(normaliser, lines, "nope"))
    assert len(list(parse_lines(normaliser, (fortigate() for _ in range(20_000))))) == 20_000


async def test_the_stage_writes_each_partition_to_its_own(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus", partitions=2, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=SystemClock())
    await bus.start()
    with opened() as normaliser:
        stage = Stage("normalise", bus, [topics.LOGS_RAW], NormaliseStage(bus, [normaliser]).handle)
        running = asyncio.create_task(stage.run())
        messages = [
            replace(rawbatch.message(Origin("gu", f"fw-{number % 2}", "tcp"), NOW, [fortigate(number), b"noise"]), partition=number % 2)
            for number in range(10)
        ]
        await bus.produce(topics.LOGS_RAW, messages)
        events = await _gather(bus, topics.EVENTS, 10)
        quarantine = await _gather(bus, topics.QUARANTINE, 10)
        stage.stop()
        await running
        epoch = await bus.epoch(topics.LOGS_RAW)
    await bus.close()
    for rows, line in ((events, 0), (quarantine, 1)):
        for partition in (0, 1):
            mine = [row for where, row in rows if where == partition]
            assert [(row["raw_partition"], row["raw_offset"], row["raw_line"]) for row in mine] == [(partition, n, line) for n in range(5)]
            assert {row["raw_epoch"] for row in mine} == {epoch}


async def test_a_large_batch_is_shared_out_to_threads_and_stays_in_order(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus", partitions=2, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=SystemClock())
    await bus.start()
    noise = [random.Random(number).randbytes(200).hex().encode() for number in range(100)]  # hard to compress
    messages = [
        replace(rawbatch.message(Origin("gu", f"fw-{number % 2}", "tcp"), NOW, [fortigate(number), *noise]), partition=number // 15)
        for number in range(20)
    ]
    await bus.produce(topics.LOGS_RAW, messages)
    consumer = await bus.consumer("test", [topics.LOGS_RAW])
    records = [record async for record in _records(consumer, 20)]
    with opened() as first, opened() as second, opened() as third:
        stage = NormaliseStage(bus, [first, second, third])
        assert [len(share) for share in _shares(records, 3)] == [7, 7, 6]
        await stage.handle(records, 0)
        events = await _gather(bus, topics.EVENTS, 20)
        quarantine = await _gather(bus, topics.QUARANTINE, 2000)
    await consumer.close()
    await bus.close()
    for rows in (events, quarantine):
        for partition in (0, 1):
            places = [(row["raw_offset"], row["raw_line"]) for where, row in rows if where == partition]
            assert places == sorted(set(places))
            assert len({offset for offset, _ in places}) == (15, 5)[partition]


async def _records(consumer: Consumer, wanted: int) -> AsyncIterator[Record]:
    while wanted > 0:
        for one in await consumer.poll(max_messages=wanted, max_bytes=1 << 26, timeout=5.0):
            wanted -= 1
            yield one


async def _gather(bus: EmbeddedBus, topic: str, wanted: int) -> list[tuple[int, dict[str, object]]]:
    consumer = await bus.consumer(f"test-{topic}", [topic])
    rows: list[tuple[int, dict[str, object]]] = []
    async with asyncio.timeout(60):
        while len(rows) < wanted:
            for one in await consumer.poll(max_messages=100, max_bytes=1 << 26, timeout=1.0):
                rows += [(one.partition, row) for row in arrow.decode(one.value).to_pylist()]
    await consumer.close()
    return rows
