r"""Syslog headers as SQL: what stands before the message, read for a whole batch at once and only when a parser asks for it.

Understood: RFC 5424; RFC 3164 and what devices make of it (a year, a fraction, a zone name, a sequence number or clock mark before the
time, an ISO time in its place, no host, ` : ` before `%ASA-`); a priority without anything; and one header inside another, as relays
write them: then the inner one is the device's. A line without a header is its own body.

Names a parser may use: `received` (milliseconds), `pri`, `syslog_severity` (0-7 or NULL), `rest` (all after the priority), `head` (the
first 512 bytes of `rest`), `header_time` (milliseconds or NULL), `host`, `app`, `body`. Text is '' when not there. Times without a zone
are of the source's zone (`{zone:String}`); a date without a year gets the year that brings it nearest to the time of receipt.
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
# Both have the same groups: 1 all that is not body, 2 time, 3 host before ` : %`, 4 the % that is body already, 5 host, 6 app.
RFC3164: Final = (
    rf"^((?:\d{{1,10}}: ){{0,2}}[*.]?({_BSD}|{_ISO})(?: [A-Z]{{3,4}})?(?::? +|:)"
    rf"(?:({_LETTER}{{1,253}}?) ?: +(%)|(?:({_HOST}) +)?(?:({_TAG})(?:\[[^\]]{{0,64}}\])?: +)?))"
)
RFC5424: Final = r'^(1 (\S+) +(\S+)()() (\S+) \S+ \S+ (?:-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\])+)(?: |$)(?:\x{feff})?)'
_AGAIN: Final = r"^(?:<\d{1,3}>|[*.]?[A-Z][a-z]{2} {1,2}\d{1,2} [\d: ]{8}|\d{4}-\d\d-\d\dT\d\d:)"


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
    return _time(f"concat(h_time, ' ', toString(h_year{change}))")


def _time(text: str) -> str:
    return f"toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({text}, 3, {{zone:String}}))"


_HALF_YEAR: Final = 183 * 86_400_000
_YEARLESS: Final = r"^[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d(?:[.,]\d+)?$"

ALIASES: Final[dict[str, str]] = {
    "pri_end": _priority_end("line"),
    "pri": "toUInt16OrNull(substring(line, 2, greatest(pri_end, 2) - 2))",
    "syslog_severity": "pri % 8",
    "rest": "if(pri_end = 0, line, substring(line, pri_end + 1))",
    "head": "substring(line, pri_end + 1, 512)",
    "h_outer": _groups("rest"),
    "h_after": f"if(empty(h_outer), rest, {_after('rest', 'h_outer')})",
    "h_relayed": f"match(substring(h_after, 1, 32), {quote(_AGAIN)})",
    "h_second": f"if(h_relayed, substring(h_after, {_priority_end('h_after')} + 1), '')",
    "h_inner": f"if(h_relayed, {_groups('h_second')}, [])",
    "h_is_inner": "notEmpty(h_inner)",
    "h_time": "replaceOne(if(h_is_inner, h_inner[2], h_outer[2]), ',', '.')",
    "h_host_inner": "concat(h_inner[3], h_inner[5])",
    "h_host_outer": "concat(h_outer[3], h_outer[5])",
    "h_host": "if(h_host_inner = '', h_host_outer, h_host_inner)",
    "host": "if(h_host = '-', '', h_host)",
    "h_app": "if(h_is_inner, h_inner[6], h_outer[6])",
    "app": "if(h_app = '-', '', h_app)",
    "body": f"if(h_is_inner, {_after('h_second', 'h_inner')}, if(h_relayed AND startsWith(h_after, '<'), h_second, h_after))",
    "h_yearless": f"match(h_time, {quote(_YEARLESS)})",
    "h_now_year": "toYear(toDateTime(intDiv(received, 1000), {zone:String}))",
    "h_year": "if(startsWith(h_time, 'Feb 29'), h_now_year - h_now_year % 4, h_now_year)",
    "h_this_year": _with_year(""),
    "h_nearest": (
        f"multiIf(startsWith(h_time, 'Feb 29'), h_this_year, h_this_year - received > {_HALF_YEAR}, {_with_year(' - 1')}, "
        f"received - h_this_year > {_HALF_YEAR}, {_with_year(' + 1')}, h_this_year)"
    ),
    "header_time": f"multiIf(h_time = '' OR h_time = '-', NULL, h_yearless, h_nearest, {_time('h_time')})",
}
