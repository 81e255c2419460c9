"""Findings for tests, in the shape in which `detect` sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any

import pyarrow as pa

from core import arrow, topics
from core.bus.contract import Record
from core.events import DETECTIONS, Kind

START = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)
_DEFAULTS: Mapping[str, Any] = {
    "rule_id": "rule-scan",
    "rule_title": "Port scan",
    "rule_level": "medium",
    "rule_hash": "0123456789abcdef",
    "rule_tags": "attack.discovery,attack.t1046,tlp.green",
    "detected_at": START,
    "received_at": START,
    "raw_epoch": "e1",
    "agency": "parks",
    "source": "fw1",
    "transport": "tcp",
    "raw": "a line",
    "parser": "fortigate",
    "log_class": "firewall",
    "event_time": START,
}


@dataclass(frozen=True)
class Finding:
    """One row: who, when (minutes after START), where on `logs.raw`, and what else."""

    offset: int
    minute: float = 0.0
    src: str | None = "192.0.2.7"
    line: int = 0
    partition: int = 0
    more: tuple[tuple[str, Any], ...] = ()

    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = {column.name: _blank(column.kind, nullable=column.nullable) for column in DETECTIONS.columns}
        row |= _DEFAULTS
        row |= {"raw_partition": self.partition, "raw_offset": self.offset, "raw_line": self.line, "src_ip": self.src}
        row["event_time"] = START + timedelta(minutes=self.minute)
        row |= dict(self.more)
        row["detection_id"] = f"{row['rule_id']}:{row['raw_epoch']}-{self.partition}-{self.offset}-{self.line}"
        return {name: packed(value) if DETECTIONS.column(name).kind is Kind.IP else value for name, value in row.items()}


def _blank(kind: Kind, *, nullable: bool) -> Any:
    if nullable:
        return None
    return "" if kind.is_text else 0


def packed(text: str | None) -> bytes | None:
    """An address as DETECTIONS holds it."""
    if text is None:
        return None
    address = ip_address(text)
    return address.packed if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{text}").packed


def table(findings: Sequence[Finding]) -> pa.Table:
    """The findings as rows of DETECTIONS."""
    return pa.Table.from_pylist([finding.row() for finding in findings], schema=DETECTIONS.schema)


def record(findings: Sequence[Finding] | pa.Table, offset: int = 0, partition: int = 0) -> Record:
    """A message of the topic `detections`."""
    rows = findings if isinstance(findings, pa.Table) else table(findings)
    return Record(topics.DETECTIONS, partition, offset, arrow.encode(rows), {}, START)
