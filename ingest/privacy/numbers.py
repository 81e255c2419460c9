"""Where registration and card numbers stand in a buffer, and which of their digits to hide.

Of a registration number the last seven digits are hidden, of a card number all but the six of its issuer. Numbers written in groups are
found by `PATTERNS`, bare ones by their runs of digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from ingest.privacy import runs
from ingest.privacy.identifiers import (
    CARD_LENGTHS,
    RRN_LENGTH,
    Digits,
    birth_dates,
    is_card_number,
    is_registration_number,
    may_be_random,
    may_lead_card,
)
from ingest.privacy.surroundings import is_alone, is_apart, is_clock, is_delimited, is_of_another_key, says_resident

RRN: Final = "rrn"
CARD: Final = "card"
Place = tuple[int, int]
"""Where something begins and where it ends in its buffer."""

_HIDDEN_OF_RRN: Final = 7
_SHOWN_OF_CARD: Final = 6
_MONTH: Final = 2
_SEX: Final = 6
_ENCODED: Final = 3  # bytes of %2D


@dataclass(frozen=True, slots=True)
class Found:
    """Something to hide: what it is, where it stands, and which parts of it go."""

    kind: str
    start: int
    stop: int
    hidden: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Groups of digits with a separator of so many bytes between them."""

    kind: str
    groups: tuple[int, ...]
    separator: int

    @property
    def width(self) -> int:
        return sum(self.groups) + self.separator * (len(self.groups) - 1)

    def places(self, stop: int) -> tuple[Place, ...]:
        """Where the groups of a number are that ends at `stop`."""
        start = stop - self.width
        found = []
        for group in self.groups:
            found.append((start, start + group))
            start += group + self.separator
        return tuple(found)


def _grouped() -> dict[str, tuple[str, Layout]]:
    cards = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4))
    found = {}
    for kind, groups in ((RRN, (6, 7)), *((CARD, card) for card in cards)):
        for name, separator in (("hyphen", "-"), ("space", " "), ("plus", r"\+"), ("encoded", "%2[d0]")):
            pattern = separator.join(rf"\d{{{group}}}" for group in groups)
            layout = Layout(kind, groups, _ENCODED if name == "encoded" else 1)
            found[f"{kind} {'-'.join(map(str, groups))} {name}"] = (pattern, layout)
    return found


PATTERNS: Final = _grouped()
"""By name: a pattern that ends where the number does, and the layout of what it finds."""


def grouped(buffer: bytes, name: str, stops: list[int], now: datetime) -> Iterator[Found]:
    """The numbers among what `PATTERNS[name]` found to end at `stops`."""
    layout = PATTERNS[name][1]
    octets = np.frombuffer(buffer, np.uint8)
    ends = np.array(stops)
    within = np.concatenate([np.arange(first, last) for first, last in layout.places(0)])
    rows = octets[ends[:, None] + within].astype(np.int64) - ord("0")
    if layout.kind == CARD:
        for stop in ends[is_card_number(rows)].tolist():
            (start, _), (first, last), *others = layout.places(stop)
            if is_apart(buffer, start, stop):
                yield Found(CARD, start, stop, ((first + _SHOWN_OF_CARD - layout.groups[0], last), *others))
        return
    today = now.date()
    likely = birth_dates(rows, today) > 0
    ends, rows = ends[likely], rows[likely]
    checked = is_registration_number(rows, today)
    random = may_be_random(rows, today) & name.endswith("hyphen")
    stands = is_alone if name.endswith(("space", "plus")) else is_apart  # words and numbers have spaces between them as well
    for stop, right, free in zip(ends.tolist(), checked.tolist(), random.tolist(), strict=True):
        start, hidden = stop - layout.width, layout.places(stop)[1:]
        known = right or (free and is_delimited(buffer, start, stop)) or says_resident(buffer, start)
        if known and stands(buffer, start, stop):
            yield Found(RRN, start, stop, hidden)


def bare(buffer: bytes, starts: runs.Array, lengths: runs.Array, kinds: frozenset[str], now: datetime) -> Iterator[Found]:
    """The numbers among the runs of digits of a buffer with edges of `runs.EDGE` bytes."""
    octets = np.frombuffer(buffer, np.uint8)
    for length in np.unique(lengths).tolist():
        at = starts[lengths == length]
        if length == RRN_LENGTH and RRN in kinds:
            at = at[octets[at + _MONTH] <= ord("1")]
            if at.size:
                yield from _bare_rrns(buffer, at, _rows(octets, at, length), now)
        elif length in CARD_LENGTHS and CARD in kinds:
            at = at[may_lead_card(octets[at] - ord("0"), length)]
            if at.size:
                yield from _bare_cards(buffer, at, _rows(octets, at, length))


def _rows(octets: runs.Array, at: runs.Array, length: int) -> Digits:
    return octets[at[:, None] + np.arange(length)].astype(np.int64) - ord("0")


def _bare_cards(buffer: bytes, at: runs.Array, rows: Digits) -> Iterator[Found]:
    length = rows.shape[1]
    for start in at[is_card_number(rows)].tolist():
        if is_alone(buffer, start, start + length) and not is_of_another_key(buffer, start):
            yield Found(CARD, start, start + length, ((start + _SHOWN_OF_CARD, start + length),))


def _bare_rrns(buffer: bytes, at: runs.Array, rows: Digits, now: datetime) -> Iterator[Found]:
    sex = rows[:, _SEX]
    likely = (birth_dates(rows, now.date()) > 0) & (sex >= 1) & (sex <= 8)
    checked = is_registration_number(rows, now.date())
    for start, right in zip(at[likely].tolist(), checked[likely].tolist(), strict=True):
        stop = start + RRN_LENGTH
        if not is_alone(buffer, start, stop):
            continue
        other = is_of_another_key(buffer, start) or is_clock(buffer[start:stop], now)
        if (right and not other) or says_resident(buffer, start):
            yield Found(RRN, start, stop, ((stop - _HIDDEN_OF_RRN, stop),))
