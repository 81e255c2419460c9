"""STIX patterns (STIX 2.1, section 9), as far as a set of single values can say the same; what says more is refused.

Read are comparisons of `ipv4-addr:value`, `ipv6-addr:value`, `domain-name:value`, `url:value` and `file:hashes.*` by `=` and `IN`, of
addresses by `ISSUBSET` too, joined by OR, within one observation or between several. AND is read where both sides come down to the same
values. An address with a prefix length means every address of that network.

The grammar is small and a feed has a million patterns, so this reader is our own: see docs/decisions/0008-indicators.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from detect.indicators import values
from detect.indicators.values import BadValue, Value

LONGEST_PATTERN: Final = 65_536
_MOST_TOKENS: Final = 20_000
_DEEPEST: Final = 50
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<constant>[bht]'(?:[^'\\]|\\.)*'|[-+]?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_-]*:))
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<path>[A-Za-z0-9][A-Za-z0-9_-]*:[A-Za-z0-9_-]+(?:\.(?:[A-Za-z0-9_-]+|'(?:[^'\\]|\\.)*')|\[[0-9*]+\])*)
    | (?P<word>[A-Za-z]+)
    | (?P<sign>!=|<>|<=|>=|==|[=<>\[\](),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_SIMPLE: Final = re.compile(r"\[\s*([a-z0-9-]+:value)\s*=\s*'([^'\\]*)'\s*\]")
_HASHES: Final = {
    "md5": "md5",
    **dict.fromkeys(("sha-1", "sha1"), "sha1"),
    **dict.fromkeys(("sha-256", "sha256"), "sha256"),
    **dict.fromkeys(("sha-512", "sha512"), "sha512"),
}
_ADDRESSES: Final = frozenset({"ipv4-addr:value", "ipv6-addr:value"})
_READERS: Final[dict[str, Callable[[str], Value]]] = {
    "ipv4-addr:value": values.address,
    "ipv6-addr:value": values.address,
    "domain-name:value": values.domain,
    "url:value": values.url,
}


class BadPattern(ValueError):
    """A pattern that is wrong or says more than values can. `word` is stable: malformed, unsupported or value."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason)
        self.word = word


def read(pattern: str) -> tuple[Value, ...]:
    """The values of which any one fulfils `pattern`; BadPattern when that cannot be said of it."""
    if simple := _SIMPLE.fullmatch(pattern.strip()):
        return (_value(*simple.groups()),)
    if len(pattern) > LONGEST_PATTERN:
        raise BadPattern("unsupported", f"a pattern longer than {LONGEST_PATTERN} characters is not read")
    parser = _Parser(_tokens(pattern))
    found = parser.observations()
    parser.end()
    return found


def _tokens(pattern: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at, length = 0, len(pattern.rstrip())
    while at < length:
        token = _TOKEN.match(pattern, at)
        if token is None or len(tokens) >= _MOST_TOKENS:
            raise BadPattern("malformed", f"the pattern cannot be read from {pattern[at : at + 30].strip()!r} on")
        kind = str(token.lastgroup)
        tokens.append((kind, token[kind]))
        at = token.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, text: str) -> bool:
        if self._peek()[0] != "string" and self._peek()[1] == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise BadPattern("malformed", f"{text!r} is missing before {self._peek()[1] or 'the end'!r}")

    def end(self) -> None:
        if self._peek()[0] != "end":
            raise self._beyond(self._peek()[1])

    def _beyond(self, text: str) -> BadPattern:
        return BadPattern("unsupported", f"{text!r} says more than single values can")

    def observations(self) -> tuple[Value, ...]:
        """Observations joined by OR; AND, FOLLOWEDBY and qualifiers ask for more than one event."""
        found = self._observation()
        while self._take("OR"):
            found += self._observation()
        if self._peek()[0] == "word":
            raise self._beyond(self._peek()[1])
        return tuple(dict.fromkeys(found))

    def _observation(self) -> tuple[Value, ...]:
        if self._take("("):
            return self._nested(self.observations, ")")
        self._need("[")
        return self._nested(self._either, "]")

    def _nested(self, inner: Callable[[], tuple[Value, ...]], closing: str) -> tuple[Value, ...]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadPattern("unsupported", f"the pattern is nested deeper than {_DEEPEST}")
        found = inner()
        self._depth -= 1
        self._need(closing)
        return found

    def _either(self) -> tuple[Value, ...]:
        found = self._both()
        while self._take("OR"):
            found += self._both()
        return tuple(dict.fromkeys(found))

    def _both(self) -> tuple[Value, ...]:
        found = self._comparison()
        while self._take("AND"):
            if set(self._comparison()) != set(found):
                raise BadPattern("unsupported", "AND of different comparisons says more than single values can")
        return found

    def _comparison(self) -> tuple[Value, ...]:
        if self._take("("):
            return self._nested(self._either, ")")
        kind, path = self._next()
        if kind != "path":
            raise self._beyond(path) if path in ("NOT", "EXISTS") else BadPattern("malformed", f"{path or 'the end'!r} is no comparison")
        _, operator = self._next()
        if operator in ("=", "=="):
            return (_value(path, self._string()),)
        if operator == "IN":
            return self._set(path)
        if operator == "ISSUBSET" and path in _ADDRESSES:
            return (_value(path, self._string()),)
        raise self._beyond(f"{path} {operator}")

    def _set(self, path: str) -> tuple[Value, ...]:
        self._need("(")
        found = [_value(path, self._string())]
        while self._take(","):
            found.append(_value(path, self._string()))
        self._need(")")
        return tuple(found)

    def _string(self) -> str:
        kind, text = self._next()
        if kind != "string":
            raise BadPattern("unsupported", f"{text or 'the end'!r} is not a text constant")
        return _ESCAPE.sub(r"\1", text[1:-1])


def _value(path: str, text: str) -> Value:
    try:
        if reader := _READERS.get(path):
            found = reader(text)
            if path in _ADDRESSES and ("." in found.text) != (path == "ipv4-addr:value"):
                raise BadValue(f"{text!r} is not an address of {path.partition('-')[0]}")
            return found
        if path.startswith("file:hashes."):
            algorithm = _HASHES.get(path.removeprefix("file:hashes.").strip("'").lower())
            if algorithm:
                return values.file_hash(text, algorithm)
    except BadValue as error:
        raise BadPattern("value", str(error)) from None
    raise BadPattern("unsupported", f"{path} is not matched here")
