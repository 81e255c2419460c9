"""What stands around a number: whether it is a number of its own, and what its key says it is.

A number with its hyphens is looked at for its neighbours only. A bare run of digits may as well be a time, a session or a count, so its
key (`session_id=`, `"timestamp":`) and the clock have a say.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from core.clock import millis

_BEFORE: Final = 48  # bytes looked at for a key
_WORD: Final = re.compile(rb"[0-9A-Za-z]")
_ENCODED_BEFORE: Final = re.compile(rb"(?:%[0-9A-Fa-f]{2}|\\[nrt]|\\u[0-9A-Fa-f]{4})\Z")
_LONGEST_ENCODED: Final = 6
_KEY: Final = re.compile(rb"""([A-Za-z_][A-Za-z0-9_.-]*)\\?["'\]]{0,2}(?: ?[=:] ?|%3[AaDd])\\?["'\[]?\Z""")
_KEY_OF_ANOTHER: Final = re.compile(
    rb"time|(?<!birth)(?<!birth[_-])date|stamp|epoch|start|begin|end\b|session|sess(?:id)?\b|\bsid\b|seq|serial|\bflow\b|duration|elapsed|uptime"
    rb"|(?:flow|trace|span|trans|transaction|txn|request|req|log|event|msg|message|rule|policy|conn|connection|process|thread|sig|signature"
    rb"|packet|record|object)[_-]?(?:id|no|num|number)\b"
    rb"|byte|octet|packet|pkt|(?<!ac)count(?!ry)|size|len\b|length|offset|version|hash|nonce|(?<![a-z])port\b|expire|since|until"
    rb"|(?:created|updated|modified)(?:[_-]?(?:at|on))?\Z|\A(?:ts|t|_|exp|iat|nbf|at)\Z",
    re.IGNORECASE,
)
_SAYS_RESIDENT: Final = re.compile(
    r"(?:jumin|rrn|resident|res_?no|reg_?no|ssn|주민|외국인)[^0-9\n]{0,24}\Z".encode() + b"|" + rb"\xc1\xd6\xb9\xce[^0-9\n]{0,24}\Z",
    re.IGNORECASE,
)
_JSON_BEFORE: Final = re.compile(rb'":[ \t]{0,4}\Z')
_JSON_AFTER: Final = frozenset(b",}] \t\r\n")
_CLOCK_PAST: Final = timedelta(days=730)
_CLOCK_AHEAD: Final = timedelta(days=2)


def is_apart(buffer: bytes, start: int, stop: int) -> bool:
    """Whether no digit touches the number, but that of a percent-encoded byte before it."""
    return not buffer[stop : stop + 1].isdigit() and (not buffer[start - 1 : start].isdigit() or _encoded_before(buffer, start))


def is_alone(buffer: bytes, start: int, stop: int) -> bool:
    """Whether the number is no part of a word, a decimal fraction or a longer row of numbers joined by hyphens."""
    if _WORD.match(buffer, stop) or (_WORD.match(buffer, start - 1) and not _encoded_before(buffer, start)):
        return False
    before, after = buffer[start - 2 : start], buffer[stop : stop + 2]
    return not (before[1:] in b".-" and before[:1].isdigit()) and not (after[:1] in b".-" and after[1:].isdigit())


def is_delimited(buffer: bytes, start: int, stop: int) -> bool:
    """Whether the number is no part of a name, such as that of a file."""
    around = buffer[start - 1 : start] + buffer[stop : stop + 1]
    return is_alone(buffer, start, stop) and not any(octet in around for octet in b"-._/")


def is_of_another_key(buffer: bytes, start: int) -> bool:
    """Whether the number's key says that it is a time, a count or the number of something else."""
    key = _KEY.search(buffer, max(0, start - _BEFORE), start)
    return key is not None and _KEY_OF_ANOTHER.search(key[1]) is not None


def says_resident(buffer: bytes, start: int) -> bool:
    """Whether the words before the number say that it is a registration number."""
    return _SAYS_RESIDENT.search(buffer, max(0, start - _BEFORE), start) is not None


def is_clock(number: bytes, now: datetime) -> bool:
    """Whether 13 digits are milliseconds since the epoch of the last two years."""
    return millis(now - _CLOCK_PAST) <= int(number) <= millis(now + _CLOCK_AHEAD)


def is_json_number(buffer: bytes, start: int, stop: int) -> bool:
    """Whether digits stand where JSON has a number, so that only digits may take their place."""
    return (
        buffer[stop] in _JSON_AFTER
        and buffer[start:stop].isdigit()
        and _JSON_BEFORE.search(buffer, max(0, start - _BEFORE), start) is not None
    )


def _encoded_before(buffer: bytes, start: int) -> bool:
    return _ENCODED_BEFORE.search(buffer, max(0, start - _LONGEST_ENCODED), start) is not None
