"""Which column a key or a value is likely to be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from ipaddress import ip_address
from typing import Final

from core.events import DISPOSITIONS, EVENTS, Kind
from ingest import parser

_WORDS: Final = {
    "allow": ("allow", "allowed", "accept", "accepted", "permit", "permitted", "pass", "passed", "success", "ok", "허용", "성공"),
    "deny": (
        *("deny", "denied", "drop", "dropped", "block", "blocked", "reject", "rejected", "reset"),
        *("fail", "failed", "failure", "차단", "거부", "실패"),
    ),
    "alert": ("alert", "detect", "detected", "monitor", "탐지", "경고"),
}
_PROTOCOLS: Final = frozenset(("tcp", "udp", "icmp", "icmpv6", "ipv6-icmp", "gre", "esp", "ah", "sctp", "igmp"))
_METHODS: Final = frozenset(("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT"))
_STAMP: Final = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?[T ]\d\d?:\d\d:\d\d(?:[.,]\d+)?(?: ?Z|[+-]\d\d:?\d\d)?")
_EPOCH: Final = re.compile(r"1[5-9]\d{8}(?:\d{3}|\d{6}|\d{9}|\.\d+)?")
_URL: Final = re.compile(r"(?:[a-z]+://|/)\S+")
_PORT_MOST: Final = 65535

EVENT_TIME: Final = "event_time"
_OURS: Final = {"name": "", "ip": "src_ip", "result": "action"}  # before what the generic parsers take the key for


@cache
def synonyms() -> dict[str, str]:
    """Column by key, in lower case: the keys our generic parsers know, and the columns' own names."""
    known = {column.name: column.name for column in EVENTS.columns if column.name in parser.COLUMNS}
    for file in parser.files():
        definition = parser.load(file) if file.stem.startswith("generic") else None
        for key, name in (definition.maps.get("fields", {}) if definition else {}).items():
            known[key.lower()] = name
    return known | _OURS


def of_key(key: str) -> str:
    """The column a key or the end of a path is likely to be; '' when none."""
    known = synonyms()
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()
    for name in (snake, snake.replace(".", "_"), snake.replace("_", ""), snake.rsplit(".", 1)[-1]):
        column = known.get(name, "")
        if column in ("date", "time"):
            return EVENT_TIME
        if column in parser.COLUMNS:
            return column
    return ""


def fits(column: str, values: Sequence[str]) -> bool:
    """Whether `values`, empty ones aside, are what `column` can hold."""
    told = [value for value in values if value]
    if not told or column == EVENT_TIME:
        return bool(told)
    kind = EVENTS.column(column).kind
    if kind is Kind.IP:
        return all(is_address(value) for value in told)
    if kind in (Kind.UINT8, Kind.UINT16, Kind.UINT32, Kind.UINT64):
        return all(value.isdecimal() for value in told)
    return True


def of_values(values: Sequence[str], taken: Iterable[str]) -> str:
    """The column that values in one place of every line are likely to be; '' when none, or when it is `taken`."""
    told = [value for value in values if value and value != "-"]
    return next((name for name in _candidates(told) if name not in taken), "") if told else ""


def _candidates(told: Sequence[str]) -> list[str]:
    if all(map(is_address, told)):
        return ["src_ip", "dst_ip"]
    if all(value.lower() in _PROTOCOLS for value in told):
        return ["proto"]
    if all(map(is_stamp, told)):
        return [EVENT_TIME]
    if all(value in _METHODS for value in told):
        return ["http_method"]
    if all(_URL.fullmatch(value) for value in told):
        return ["url"]
    if all(value.isdecimal() and int(value) <= _PORT_MOST for value in told):
        return ["src_port", "dst_port"]
    return []


def disposition(word: str) -> str:
    """allow, deny or alert for a device's word that says so; '' for others."""
    return next((name for name in DISPOSITIONS if word.lower() in _WORDS[name]), "")


def is_address(value: str) -> bool:
    """Whether `value` is an IPv4 or IPv6 address."""
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def is_stamp(value: str) -> bool:
    """Whether `value` is a written date and time, or seconds (or parts of them) since 1970."""
    return bool(_STAMP.fullmatch(value) or _EPOCH.fullmatch(value))


def is_epoch(value: str) -> bool:
    """Whether `value` counts seconds, or parts of them, since 1970."""
    return bool(_EPOCH.fullmatch(value))
