"""The one table of columns: what is made from it agrees with itself."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import EVENTS, PARSED, POSITION, TABLES, Kind, Table, event_id, parse_event_id
from core.storage.ddl import create_table
from core.storage.docs import page

ROOT = Path(__file__).resolve().parents[2]
NORMALISED = [
    "src_ip",
    "dst_ip",
    "src_nat_ip",
    "dst_nat_ip",
    "src_port",
    "dst_port",
    "src_nat_port",
    "dst_nat_port",
    "proto",
    "app_proto",
    "app",
    "action",
    "disposition",
    "rule",
    "rule_id",
    "user",
    "url",
    "domain",
    "dns_query",
    "http_method",
    "http_status",
    "user_agent",
    "sig_id",
    "sig_name",
    "severity",
    "event_code",
    "device",
    "bytes",
    "bytes_src",
    "bytes_dst",
    "src_zone",
    "dst_zone",
    "in_if",
    "out_if",
]


def test_the_page_of_the_tables_is_up_to_date() -> None:
    written = (ROOT / "docs" / "events.md").read_text("utf-8")
    assert written == page(), "run: python -m core.storage.docs > docs/events.md"


def test_every_name_of_a_normalised_field_is_a_column() -> None:
    assert set(NORMALISED) <= set(EVENTS.names)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_are_whole(table: Table) -> None:
    assert len(set(table.names)) == len(table.names)
    assert {column.name for column in POSITION} <= set(table.names)
    for column in table.columns:
        assert column.meaning
        assert not (column.kind.is_text and column.nullable), column.name
        assert column.clickhouse.startswith("Nullable(") == column.nullable
        assert table.schema.field(column.name).nullable == column.nullable


def test_a_sigma_field_name_means_one_column_of_the_parsers() -> None:
    owners: dict[str, set[str]] = {}
    for column in PARSED:
        for name in (column.name, *column.sigma):
            owners.setdefault(name, set()).add(column.name)
    assert {name: owner for name, owner in owners.items() if len(owner) > 1} == {}


def test_types_of_a_few_columns_by_hand() -> None:
    assert EVENTS.column("src_ip").clickhouse == "Nullable(IPv6)"
    assert EVENTS.column("src_ip").arrow == pa.field("src_ip", pa.binary(16), nullable=True)
    assert EVENTS.column("raw").ddl == "`raw` String CODEC(ZSTD(1))"
    assert EVENTS.column("event_time").clickhouse == "DateTime64(3, 'UTC')"
    assert EVENTS.column("action").kind is Kind.WORD
    with pytest.raises(KeyError):
        EVENTS.column("no_such_column")


def test_the_statement_of_a_table_names_every_column_in_order() -> None:
    statement = create_table(EVENTS, "other")
    assert statement.startswith("CREATE TABLE IF NOT EXISTS other\n(\n    `raw_epoch` LowCardinality(String),\n")
    places = [statement.index(f"`{name}` ") for name in EVENTS.names]
    assert places == sorted(places)
    assert "ORDER BY (agency, event_time)" in statement


@given(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
)
def test_an_event_id_is_read_back(epoch: str, partition: int, offset: int, line: int) -> None:
    assert parse_event_id(event_id(epoch, partition, offset, line)) == (epoch, partition, offset, line)


@pytest.mark.parametrize("wrong", ["", "k1", "k1-1-2", "k1-1-2-x", "k1-1.5-2-3"])
def test_what_is_no_event_id(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is Python's own
        parse_event_id(wrong)
