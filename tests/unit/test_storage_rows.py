"""Rows for people: addresses, times, flags, and what is left out."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from core.storage.rows import address_text, to_jsonable


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_written_as_one(address: IPv4Address) -> None:
    assert address_text(bytes(10) + b"\xff\xff" + address.packed) == str(address)


@given(st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None))
def test_the_text_of_an_ipv6_address_names_it(address: IPv6Address) -> None:
    assert IPv6Address(address_text(address.packed)) == address


def test_zero_is_a_value_and_empty_is_not() -> None:
    table = pa.table({"n": [0, None], "word": ["", "x"], "intake_flags": pa.array([0, 9], pa.uint32())})
    assert to_jsonable(table) == [{"n": 0}, {"word": "x", "intake_flags": ["unknown_source", "cp949"]}]


def test_a_time_has_milliseconds_and_a_z() -> None:
    table = pa.table({"at": pa.array([0, 1_767_323_045_007, None], pa.timestamp("ms", "UTC"))})
    assert to_jsonable(table) == [{"at": "1970-01-01T00:00:00.000Z"}, {"at": "2026-01-02T03:04:05.007Z"}, {}]


def test_a_part_of_a_position_stays_as_it_is() -> None:
    assert to_jsonable(pa.table({"raw_offset": [7], "raw": ["x"]})) == [{"raw_offset": 7, "raw": "x"}]


def test_no_rows() -> None:
    assert to_jsonable(pa.table({"raw": pa.array([], pa.string())})) == []
