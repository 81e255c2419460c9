"""Values on their way to the engine beside the SQL.

ClickHouse reads a parameter's text as it reads a TSV field: for a text a backslash starts an escape and a tab or line end ends the
value, so those must be escaped; an array is a literal with quoted elements. Times are written in UTC with milliseconds, to be
taken as `DateTime64(3, 'UTC')`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

_TSV = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"})
_QUOTED = str.maketrans({"\\": "\\\\", "'": "\\'", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"})


def plain(value: Any) -> str | int | float | list[str | int | float]:
    """`value` as text, number or list of these; TypeError for what has no defined form (None, bytes, naive times)."""
    match value:
        case bool():
            return int(value)
        case str() | int() | float():
            return value
        case datetime():
            if value.tzinfo is None:
                raise TypeError("a time parameter needs a time zone")
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        case IPv4Address() | IPv6Address() | IPv4Network() | IPv6Network():
            return str(value)
        case list() | tuple() | set() | frozenset():
            return [_element(item) for item in value]
    raise TypeError(f"a query parameter cannot be a {type(value).__name__}")


def escaped(params: Mapping[str, Any] | None) -> dict[str, str]:
    """`params` in the form the engine parses."""
    return {name: _escaped(plain(value)) for name, value in (params or {}).items()}


def _element(value: Any) -> str | int | float:
    text = plain(value)
    if isinstance(text, list):
        raise TypeError("a query parameter cannot be a list of lists")
    return text


def _escaped(value: str | float | Sequence[str | float]) -> str:
    if isinstance(value, str):
        return value.translate(_TSV)
    if isinstance(value, (int, float)):
        return repr(value)
    return "[" + ",".join(f"'{item.translate(_QUOTED)}'" if isinstance(item, str) else repr(item) for item in value) + "]"
