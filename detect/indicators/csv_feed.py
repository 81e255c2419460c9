"""Feeds as CSV with headings: `value[,type][,source][,tlp][,confidence][,expires][,description]`, in any order.

Where there is no type the value's form tells it: a hash by its digits, a URL by its scheme or path, then addresses, then domains. Lines
that begin with `#` and empty lines are passed over. `expires` is a date or a time of ISO 8601, in UTC where it has no zone.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from core.errors import Invalid
from detect.indicators import values
from detect.indicators.model import Indicator, Read, Refused, instant, short, tlp_named
from detect.indicators.values import BadValue, Type, Value

_LONGEST_LINE: Final = 65_536
_COLUMNS: Final = ("value", "type", "source", "tlp", "confidence", "expires", "description")
_TYPES: Final = {
    **dict.fromkeys(("address", "ip", "ipv4", "ipv6", "ip-src", "ip-dst", "network", "cidr"), Type.ADDRESS),
    **dict.fromkeys(("domain", "hostname", "host", "fqdn"), Type.DOMAIN),
    **dict.fromkeys(("url", "uri"), Type.URL),
    **dict.fromkeys(("hash", *values.HASH_DIGITS), Type.HASH),
}


def read(file: BinaryIO) -> Read:
    """The indicators of a file. Invalid (422) when it is not CSV in UTF-8 or lacks the heading `value`."""
    rows = csv.reader(_lines(file), strict=True)
    try:
        headings = [heading.strip().lower() for heading in next(rows, [])]
        unknown = sorted(set(headings) - set(_COLUMNS))
        if "value" not in headings or unknown or len(set(headings)) != len(headings):
            told = f"; not {', '.join(unknown)}"[:200] if unknown else ""
            raise Invalid(f"the first line must name the columns, among them value: {', '.join(_COLUMNS)}{told}")
        for place, row in enumerate(rows, 1):
            yield _indicator(dict(zip(headings, row, strict=False)), place, fits=len(row) <= len(headings))
    except csv.Error as error:
        raise Invalid(f"the file is not CSV: {error}, in line {rows.line_num} of those that count") from error


def _lines(file: BinaryIO) -> Iterator[str]:
    file.seek(0)
    decode = codecs.getincrementaldecoder("utf-8-sig")()
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise Invalid(f"the file has a line longer than {_LONGEST_LINE} bytes")
        try:
            text = decode.decode(line)
        except UnicodeDecodeError as error:
            raise Invalid(f"the file is not UTF-8: {error.reason} in {line[:40]!r}") from error
        if text.strip() and not text.startswith("#"):
            yield text


def _indicator(row: Mapping[str, str], place: int, *, fits: bool) -> Indicator | Refused:
    given = short(row["value"])
    if not fits:
        return Refused(place, given, "malformed", "the line has more columns than there are headings")
    try:
        value = _value(row["value"], row.get("type", "").strip().lower())
        tlp, confidence = row.get("tlp", "").strip(), row.get("confidence", "").strip()
        if tlp and not tlp_named(tlp):
            raise ValueError(f"{tlp!r} is not a level of TLP")
        if confidence and not (confidence.isdecimal() and int(confidence) <= 100):
            raise ValueError(f"confidence {confidence!r} is not a whole number from 0 to 100")
        return Indicator(
            value,
            valid_until=instant(row.get("expires")),
            confidence=int(confidence) if confidence else None,
            tlp=tlp_named(tlp),
            source=short(row.get("source")),
            description=short(row.get("description")),
        )
    except BadValue as error:
        return Refused(place, given, "value", str(error))
    except ValueError as error:
        return Refused(place, given, "malformed", short(error))


def _value(text: str, kind: str) -> Value:
    if not kind:
        return values.guess(text)
    if kind in values.HASH_DIGITS:
        return values.file_hash(text, kind)
    try:
        return values.READERS[_TYPES[kind]](text)
    except KeyError:
        raise BadValue(f"the type {kind[:40]!r} is not matched here; there are {', '.join(sorted(_TYPES))}") from None
