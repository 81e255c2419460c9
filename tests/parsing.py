"""What tests of parsers share: one engine, all parsers, a clock that stands still, and lines as records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa

from core.bus.contract import Record
from core.clock import FixedClock
from core.config import IntakeSettings
from core.engine import Engine, Session
from ingest import rawbatch
from ingest.compile import LINES, ParserSet
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from ingest.samples import RECEIVED

NOW = RECEIVED
FORTIGATE = (
    '<189>date=2026-03-05 time=14:59:58 devname="FGT-1" devid="FGT60F0000000001" eventtime={at} tz="+0900" logid="0000000013" '
    'type="traffic" subtype="forward" level="notice" vd="root" srcip=10.0.0.{host} srcport=40000 srcintf="port1" '
    'dstip=203.0.113.9 dstport=443 dstintf="wan1" proto=6 action="accept" policyid=1 service="HTTPS" sentbyte=10 rcvdbyte=20'
)
ASA = (
    "<164>Mar 05 2026 15:00:00 asa-1 : %ASA-4-106023: Deny tcp src outside:198.51.100.{host}/40002 dst inside:10.5.0.10/22 by access-group"
    ' "outside_in" [0x0, 0x0]'
)
AT = 1772690398000


def fortigate(host: int = 1, at: int = AT) -> bytes:
    return FORTIGATE.format(host=host, at=at).encode()


def asa(host: int = 1) -> bytes:
    return ASA.format(host=host).encode()


@contextmanager
def opened(parsers: ParserSet | None = None, settings: IntakeSettings | None = None) -> Iterator[Normaliser]:
    """A normaliser on an engine of its own; all parsers unless others are given."""
    engine = Engine()
    normaliser = Normaliser(engine, parsers or ParserSet.load(), settings or IntakeSettings(), FixedClock(NOW))
    try:
        yield normaliser
    finally:
        normaliser.close()
        engine.close()


def record(lines: Sequence[bytes], offset: int = 0, partition: int = 0, origin: Origin | None = None, at: datetime = NOW) -> Record:
    """The record of a message that carries `lines`."""
    message = rawbatch.message(origin or Origin("gu", "fw", "tcp", "192.0.2.1"), at, lines)
    return Record("logs.raw", partition, offset, message.value, message.headers, at)


def table(lines: Sequence[str], at: datetime = NOW) -> pa.Table:
    """The table that parser statements read."""
    return pa.table([pa.array(lines), pa.array([int(at.timestamp() * 1000)] * len(lines))], schema=LINES)


def evaluate(session: Session, sql: str, lines: Sequence[str], at: datetime = NOW, zone: str = "Asia/Seoul") -> list[dict[str, object]]:
    """The rows of a parser statement over `lines`."""
    return session.arrow(sql, table(lines, at), {"zone": zone}).to_pylist()  # type: ignore[no-any-return]
