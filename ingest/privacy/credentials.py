"""Passwords and other secrets in lines: where their values begin, and where they end.

A key (password, passwd, pwd, pw, pass, passphrase, secret, token, api_key and the Korean 비밀번호 and 패스워드, in UTF-8, CP949 and
percent-encoded) with what joins it to its value is found by one scan for all of them (`PATTERNS`); only there does `value` look for the
value. It ends at its closing quote or, without one, at white space or the next delimiter of URLs, forms, JSON and logs.

What says that there is no value (nothing, a dash, N/A, null) is none, and neither is a value that is masked already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

Span = tuple[int, int]
"""Where a value begins and where it ends in its buffer."""

_HANGUL: Final = "|".join(
    "".join(f"\\x{octet:02x}" for octet in word.encode(encoding)) for word in ("비밀번호", "패스워드") for encoding in ("utf-8", "cp949")
)
_HANGUL_ENCODED: Final = "|".join("".join(f"%{octet:02x}" for octet in word.encode()) for word in ("비밀번호", "패스워드"))
_KEY: Final = (
    r"(?:passw(?:or)?d|passphrase|passcode|pwd|pw|(?:[^a-z]|user|usr|login|db)pass|secret(?:[_-]?key)?|token|api[_-]?key|access[_-]?key|"
    f"{_HANGUL}|{_HANGUL_ENCODED})"
)
_PLAIN_KEY: Final = f"(?:passw(?:or)?d|passphrase|passcode|pwd|{_HANGUL})"
_AFTER: Final = r"(?:[_-]?(?:\d\d?|confirm(?:ation)?|new|old|again|check))?"
_CLOSED: Final = r"""(?:\[[0-9a-z_]{0,16}\])?(?:\\?["'\]]|%22|%5d){0,2}"""

PATTERNS: Final = {
    "equals": rf"{_KEY}{_AFTER}{_CLOSED} ?(?:=|%3d|\\u003d)",
    "member": rf"""{_KEY}{_AFTER}(?:\\?["']|%22)(?: {{0,2}}:|%3a)""",
    "colon": rf"{_PLAIN_KEY}{_AFTER} ?:",
    "element": rf"<[a-z0-9_.:-]{{0,24}}(?:passw(?:or)?d|passphrase|pwd|secret|token){_AFTER}>",
    "bracket": rf"{_PLAIN_KEY}{_AFTER} \[",
    "authorization": r"authorization.{1,10}(?:basic|bearer)(?: |%20|\+)",
    "userinfo": r"""://[^\s/@:"'<>?#]{0,64}:[^\s/"'<>?#]{1,128}@""",
}
"""By kind: a pattern that ends where the value begins, and for `userinfo` where it has ended. Upper and lower case are one."""

_QUOTED: Final = {
    quote: re.compile(pattern)
    for quote, pattern in (
        (b'\\"', rb'\\"((?:(?!\\")[^\n]){0,4096})\\"'),
        (b'"', rb'"((?:[^"\\\n]|\\[^\n]){0,4096})"'),
        (b"'", rb"'((?:[^'\\\n]|\\[^\n]){0,4096})'"),
        (b"%22", rb"%22((?:(?!%22)[^\s&]){0,4096})%22"),
        (b"[", rb"\[([^\]\"\n]{0,4096})\]"),
    )
}
_BARE: Final = re.compile(rb"""(?:[^\s\0&"'<>;,|`\]}\\]|\\(?!u0026|u0022|[nrt"]))*""")
_ENCODED_END: Final = re.compile(rb"%(?:26|2[2cC]|7[dD]|0[aAdD])")
_TO_BRACKET: Final = re.compile(rb"[^\]\n]*")
_TO_ELEMENT: Final = re.compile(rb"[^<\n]*")
_CREDENTIALS: Final = re.compile(rb"(?:[A-Za-z0-9+/=._~-]|%[0-9A-Fa-f]{2})*")
_SPACES: Final = re.compile(rb" {0,2}")
_NOTHING: Final = re.compile(rb"-*|=*|\**|[\[{(]|n/?a|\(?null\)?|none|true|false|yes|no|undefined", re.IGNORECASE)
_CLOSING: Final = ord(")")
_BEFORE: Final = 24  # bytes looked at for the key
_SHELL_FOLDER: Final = re.compile(rb"(?<![0-9A-Za-z_])PWD=\Z")  # sudo and env tell the working directory so
_PROGRAM: Final = re.compile(rb"\([a-z_]+:\Z")  # pam_unix(passwd:chauthtok)
_COUNTER: Final = re.compile(rb"""pass\\?["'] {0,2}:\Z""")  # "full_hash_pass":749 counts something


def value(buffer: bytes, kind: str, at: int) -> Span | None:
    """The value of the key that `PATTERNS[kind]` found to end at `at`; None when there is none to hide."""
    start, stop = _SPANS[kind](buffer, at)
    if _NOTHING.fullmatch(buffer, start, stop) or _is_of_another_key(buffer, at, start, stop):
        return None
    return start, stop


def _is_of_another_key(buffer: bytes, at: int, start: int, stop: int) -> bool:
    """Whether the key that ends at `at` is one of those that only look like a password's."""
    before = max(0, at - _BEFORE)
    if _PROGRAM.search(buffer, before, at):
        return True
    if buffer.startswith(b"/", start):
        return _SHELL_FOLDER.search(buffer, before, at) is not None
    quoted = buffer[start - 1 : start] in b"\"'"
    return not quoted and buffer[start:stop].isdigit() and _COUNTER.search(buffer, before, at) is not None


def _after_equals(buffer: bytes, at: int) -> Span:
    spaced = buffer[at - 2 : at] == b" =" and buffer[at : at + 1] == b" "
    return _any(buffer, at + spaced)


def _after_colon(buffer: bytes, at: int) -> Span:
    return _any(buffer, _end(_SPACES, buffer, at))


def _any(buffer: bytes, at: int) -> Span:
    """A value in whatever quotes, or without."""
    for quote, quoted in _QUOTED.items():
        if buffer.startswith(quote, at):
            found = quoted.match(buffer, at)
            if found:
                return found.span(1)
            at += len(quote)
            break
    stop = _end(_BARE, buffer, at)
    if buffer[at - 1 : at] in (b"d", b"D", b"a", b"A"):  # after %3D or %3A delimiters are percent-encoded, too
        encoded = _ENCODED_END.search(buffer, at, stop)
        stop = encoded.start() if encoded else stop
    while stop > at and buffer[stop - 1] == _CLOSING:
        stop -= 1
    return at, stop


def _userinfo(buffer: bytes, at: int) -> Span:
    scheme = buffer.rindex(b"://", 0, at)
    return buffer.index(b":", scheme + 3) + 1, at - 1


def _to(end: re.Pattern[bytes]) -> Callable[[bytes, int], Span]:
    return lambda buffer, at: (at, _end(end, buffer, at))


def _end(pattern: re.Pattern[bytes], buffer: bytes, at: int) -> int:
    """Where a match that begins at `at` ends; `at` when there is none."""
    found = pattern.match(buffer, at)
    return found.end() if found else at


_SPANS: Final[Mapping[str, Callable[[bytes, int], Span]]] = {
    "equals": _after_equals,
    "member": _after_colon,
    "colon": _after_colon,
    "element": _to(_TO_ELEMENT),
    "bracket": _to(_TO_BRACKET),
    "authorization": _to(_CREDENTIALS),
    "userinfo": _userinfo,
}
