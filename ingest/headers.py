r"""Syslog headers as SQL: what stands before the message, read for a whole batch at once and only when a parser asks for it.

Understood: RFC 5424; RFC 3164 and what devices make of it (a year, a fraction, a zone name, a sequence number or clock mark before the
time, an ISO time in its place, no host, ` : ` before `%ASA-`); a priority without anything; a program and its process number alone
(`sshd[411]: `), as daemons write that leave time and host to the receiver; and up to three headers one inside the other, as relays write
them: then the innermost is the device's. A line without a header is its own body.

Names a parser may use: `received` (milliseconds), `pri`, `syslog_severity` (0-7 or NULL), `rest` (all after the priority), `head` (the
first 512 bytes of `rest`), `header_time` (milliseconds or NULL), `host`, `app`, `body`. Text is '' when not there. Times without a zone
are of the source's zone (`{zone:String}`); a date without a year is of the year that puts it at most a week after receipt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ingest.sql import quote

_LETTER: Final = r"[A-Za-z0-9_.:\-\[\]<>]"
_HOST: Final = rf"{_LETTER}{{0,252}}[A-Za-z0-9_.\-\]>]"
_TAG: Final = r"[A-Za-z0-9_./\-]{1,48}"
_ISO: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?Z|[+-]\d\d:?\d\d)?"
_BSD: Final = r"(?:\d{4} )?[A-Z][a-z]{2} {1,2}\d{1,2}(?:,? \d{4})? \d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: \d{4})?"
_ZONES: Final = {
    **{"UTC": "+0000", "GMT": "+0000", "WET": "+0000", "KST": "+0900", "JST": "+0900", "SGT": "+0800", "HKT": "+0800", "CET": "+0100"},
    **{"CEST": "+0200", "WEST": "+0100", "EET": "+0200", "EEST": "+0300", "MSK": "+0300", "BST": "+0100"},
    **{"EST": "-0500", "EDT": "-0400", "CDT": "-0500", "MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700"},
}
"""Names of zones and what they are; those that mean several (CST, IST) are of the source's zone."""
_ZONE: Final = rf" ?[+-]\d\d:?\d\d| (?:{'|'.join((*_ZONES, 'CST', 'IST', 'AEST'))})"
# Both have the same groups: 1 all that is not body, 2 time, 3 host before ` : %`, 4 the % that is body already, 5 host, 6 app.
RFC3164: Final = (
    rf"^((?:\d{{1,10}}: ){{0,2}}[*.]?({_BSD}|{_ISO})(?:{_ZONE})?(?::? +|:)"
    rf"(?:({_LETTER}{{1,253}}?) ?: +(%)|(?:({_HOST}) +)?(?:({_TAG})(?:\[[^\]]{{0,64}}\])?: +)?))"
)
RFC5424: Final = r'^(1 (\S+) +(\S+)()() (\S+) \S+ \S+ (?:-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\])+)(?: |$)(?:\x{feff})?)'
_BARE: Final = r"^(()()()()([A-Za-z][A-Za-z0-9_./\-]{0,47})\[\d{1,10}\]: +)"
_AGAIN: Final = r"^(?:<\d{1,3}>|[*.]?[A-Z][a-z]{2} {1,2}\d{1,2} [\d: ]{8}|(?:1 )?\d{4}-\d\d-\d\dT\d\d:)"
_BSD_ZONE: Final = rf"\d\d:\d\d:\d\d(?:[.,]\d{{1,9}})?(?: \d{{4}})?({_ZONE})(?::? |:)"
_BSD_TIME: Final = r"^(?:\d{4} )?[A-Z]"


def app_pattern(apps: Iterable[str]) -> str:
    """A regular expression that finds something in `rest` of every line whose `app` is one of these."""
    return rf"(?:^|[ :])(?:{'|'.join(map(re.escape, apps))})(?:[\[: ]|$)"


def _groups(text: str) -> str:
    return (
        f"multiIf(startsWith({text}, '1 '), extractGroups(substring({text}, 1, 8192), {quote(RFC5424)}), "
        f"extractGroups(substring({text}, 1, 512), {quote(RFC3164)}))"
    )


def _after(text: str, groups: str) -> str:
    return f"substring({text}, length({groups}[1]) - length({groups}[4]) + 1)"


def _priority_end(text: str) -> str:
    return f"if(startsWith({text}, '<'), position(substring({text}, 1, 5), '>'), 0)"


def _with_year(change: str) -> str:
    return _time(f"concat(h_time, ' ', toString(h_year{change}), ' ', h_zone)")


def _time(text: str) -> str:
    return f"toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({text}, 3, {{zone:String}}))"


def of_the_year(date: str, this: str, before: str, after: str) -> str:
    """Of a date without a year, read as of this year, the one before and the one after, the reading that is meant; all in milliseconds."""
    return (
        f"multiIf(startsWith({date}, 'Feb 29'), {this}, {this} - received > {_AHEAD}, {before}, "
        f"received - {this} > {365 * _DAY - _AHEAD}, {after}, {this})"
    )


def year_of(date: str) -> str:
    """This year, where the source is; for 29 February the latest year that has one."""
    year = "toYear(toDateTime(intDiv(received, 1000), {zone:String}))"
    return f"if(startsWith({date}, 'Feb 29'), {year} - {year} % 4, {year})"


def _zone(text: str) -> str:
    names = ", ".join(map(quote, _ZONES))
    offsets = ", ".join(map(quote, _ZONES.values()))
    return f"transform({text}, [{names}, 'CST', 'IST', 'AEST'], [{offsets}, '', '', ''], {text})"


def _header(number: int) -> dict[str, str]:
    """The aliases of the header inside header `number - 1`: whether there is one, its text, groups, and what follows it."""
    outer = f"h_rest_{number - 1}"
    text, groups = f"h_text_{number}", f"h_groups_{number}"
    return {
        f"h_relayed_{number}": f"match(substring({outer}, 1, 32), {quote(_AGAIN)})",
        text: f"if(h_relayed_{number}, substring({outer}, {_priority_end(outer)} + 1), '')",
        groups: f"if(h_relayed_{number}, {_groups(text)}, [])",
        f"h_is_{number}": f"notEmpty({groups})",
        f"h_host_{number}": f"concat({groups}[3], {groups}[5])",
        f"h_rest_{number}": (
            f"if(h_is_{number}, {_after(text, groups)}, if(h_relayed_{number} AND startsWith({outer}, '<'), {text}, {outer}))"
        ),
    }


_DAY: Final = 86_400_000
_AHEAD: Final = 7 * _DAY
"""How far a device's clock may be ahead over a new year. What lies further ahead happened a year ago."""
_YEARLESS: Final = r"^[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d(?:[.,]\d+)?$"

_WITH_ZONE: Final = _time("concat(h_time, ' ', h_zone)")

ALIASES: Final[dict[str, str]] = {
    "pri_end": _priority_end("line"),
    "pri": "toUInt16OrNull(substring(line, 2, greatest(pri_end, 2) - 2))",
    "syslog_severity": "pri % 8",
    "rest": "if(pri_end = 0, line, substring(line, pri_end + 1))",
    "head": "substring(line, pri_end + 1, 512)",
    "h_dated_1": _groups("rest"),
    "h_groups_1": f"if(empty(h_dated_1), extractGroups(substring(rest, 1, 64), {quote(_BARE)}), h_dated_1)",
    "h_is_1": "notEmpty(h_groups_1)",
    "h_host_1": "concat(h_groups_1[3], h_groups_1[5])",
    "h_rest_1": f"if(h_is_1, {_after('rest', 'h_groups_1')}, rest)",
    **_header(2),
    **_header(3),
    "h_groups": "multiIf(h_is_3, h_groups_3, h_is_2, h_groups_2, h_groups_1)",
    "h_time": "replaceOne(h_groups[2], ',', '.')",
    "h_host": "multiIf(h_host_3 != '' AND h_host_3 != '-', h_host_3, h_host_2 != '' AND h_host_2 != '-', h_host_2, h_host_1)",
    "host": "if(h_host = '-', '', h_host)",
    "app": "if(h_groups[6] = '-', '', h_groups[6])",
    "body": "h_rest_3",
    "h_zone": f"if(match(h_time, {quote(_BSD_TIME)}), {_zone(f'trim(extract(h_groups[1], {quote(_BSD_ZONE)}))')}, '')",
    "h_yearless": f"match(h_time, {quote(_YEARLESS)})",
    "h_year": year_of("h_time"),
    "h_this_year": _with_year(""),
    "h_dated": of_the_year("h_time", "h_this_year", _with_year(" - 1"), _with_year(" + 1")),
    "header_time": f"multiIf(h_time = '' OR h_time = '-', NULL, h_yearless, h_dated, {_WITH_ZONE})",
}
