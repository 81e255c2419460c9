"""Hostile lines: real lines of every parser with something done to them, and what no device would send.

The same seed gives the same lines.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from ingest import parser

_LONGEST = 65536  # what intake lets through (`intake.max_line_bytes`)
_PIECES = (
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", "가".encode("cp949"), "가".encode(), "\u202e".encode(), b"\x1f", b"\t", b"\r"),
    *(
        b'"',
        b"'",
        b"\\",
        b'\\"',
        b"\\\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
        b"<",
        b">",
        b"|",
        b",",
        b"=",
        b";",
        b":",
        b"%",
        b"$",
        b"^",
        b" ",
    ),
    *(b"<13>", b"<999>", b"Mar  5 14:00:00 ", b"1 2026-03-05T14:00:00Z h a - - - ", b"Feb 30 25:61:61 ", b"9999-99-99T99:99:99Z "),
    *(b"18446744073709551616", b"-1", b"1e309", b"NaN", b"::ffff:999.1.1.1", b"[::1%eth0]:99999", b"\\u0000", b"\\ud800", b"%00", b"${x}"),
    *(b"CEF:0|", b"LEEF:2.0|a|b|c|d|^|", b'{"', b'":', b"null", b"[[[[", b'{"a":' * 40, b"%ASA-6-302013: ", b"type=", b"src=", b"dst="),
)
_STORMS = (
    b",",
    b"|",
    b"=",
    b'"',
    b" ",
    b"9",
    b"[",
    b"{",
    b"}",
    b"\\",
    b'\\"',
    b":",
    b";",
    b"\t",
    b"`",
    b"k=v ",
    b'"a":',
    b"[{",
    b"1,",
    b"<1>",
    b"Mar  5 ",
)

Mutation = Callable[[random.Random, bytes, list[bytes]], bytes]


def samples() -> list[bytes]:
    """A line of each kind that the samples of the parsers have."""
    files = sorted((parser.FOLDER / "samples").glob("*/*.log"))
    return [line for file in files for line in file.read_bytes().splitlines() if line]


def lines(seed: int, count: int) -> Iterator[bytes]:
    """So many hostile lines, each without a line end."""
    chance = random.Random(seed)
    whole = samples()
    for _ in range(count):
        line = chance.choice(whole)
        for _ in range(chance.randint(1, 3)):
            line = chance.choice(_MUTATIONS)(chance, line, whole)
        if chance.random() < _RARE:
            line = chance.choice(_MONSTERS)(chance, line, whole)
        yield line[:_LONGEST].replace(b"\n", b" ")


_RARE = 0.01


def _place(chance: random.Random, line: bytes) -> int:
    return chance.randint(0, len(line))


def _cut(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    return line[: _place(chance, line)]


def _behead(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    return line[_place(chance, line) :]


def _insert(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    at = _place(chance, line)
    return line[:at] + chance.choice(_PIECES) * chance.choice((1, 1, 1, 2, 7)) + line[at:]


def _replace(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    at = _place(chance, line)
    return line[:at] + chance.choice(_PIECES) + line[at + chance.randint(0, 8) :]


def _bytes(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    changed = bytearray(line)
    for _n in range(chance.randint(1, 6) if changed else 0):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _splice(chance: random.Random, line: bytes, whole: list[bytes]) -> bytes:
    other = chance.choice(whole)
    return line[: _place(chance, line)] + other[_place(chance, other) :]


def _repeat(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    start, stop = sorted((_place(chance, line), _place(chance, line)))
    return line[:stop] + line[start:stop] * chance.randint(1, 6) + line[stop:]


def _swap(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    """All of one sign by another."""
    return line.replace(chance.choice(_STORMS)[:1], chance.choice(_PIECES))


def _relay(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    header = chance.choice((b"<13>Mar  5 14:00:00 relay ", b"<13>1 2026-03-05T14:00:00Z relay - - - - ", b"<1>", b"Feb 29 23:59:60 r "))
    return header * chance.randint(1, 5) + line


def _same(_chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    return line


def _noise(chance: random.Random, _line: bytes, _: list[bytes]) -> bytes:
    return chance.randbytes(chance.choice((1, 10, 300, 5000)))


def _storm(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    at = _place(chance, line)
    return line[:at] + chance.choice(_STORMS) * 10_000 + line[at:]


def _full(chance: random.Random, line: bytes, whole: list[bytes]) -> bytes:
    return b" ".join(chance.choices(whole, k=1 + _LONGEST // 300))


def _nested(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    depth = chance.choice((100, 3000))
    return line[:64] + chance.choice((b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth + b"]" * depth, b"(" * depth))


def _wide(chance: random.Random, line: bytes, _: list[bytes]) -> bytes:
    return line + chance.choice((("가" * 9000).encode(), ("가" * 9000).encode("cp949"), b"\xff" * 30_000))


_MUTATIONS: tuple[Mutation, ...] = (
    _same,
    _cut,
    _behead,
    _insert,
    _insert,
    _replace,
    _replace,
    _bytes,
    _bytes,
    _splice,
    _repeat,
    _swap,
    _relay,
)
_MONSTERS: tuple[Mutation, ...] = (_noise, _storm, _storm, _full, _nested, _wide)
