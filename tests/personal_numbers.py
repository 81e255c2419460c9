"""Registration and card numbers that are valid and nobody's, for tests. Written from the published rules, not from the code under test."""

from __future__ import annotations

from datetime import date

from hypothesis import strategies as st

_SEX_DIGITS = {1800: "90", 1900: "1256", 2000: "3478"}
_ISSUERS = (
    ("4", 16),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("2720", 16),
    ("37", 15),
    ("36", 14),
    ("3528", 16),
    ("62", 16),
    ("94", 16),
    ("6011", 16),
)


def rrn(first: str, *, hyphen: str = "-") -> str:
    """The number that begins with these 12 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(first, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True))
    last = (11 - total % 11) % 10
    if first[6] in "5678":
        last = (last + 2) % 10
    return f"{first[:6]}{hyphen}{first[6:]}{last}"


def card(first: str) -> str:
    """The number that begins with these digits and ends in their check digit."""
    total = 0
    for place, digit in enumerate(reversed(first)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return first + str(-total % 10)


@st.composite
def rrns(draw: st.DrawFn, centuries: tuple[int, ...] = (1900, 2000), until: date = date(2026, 1, 1)) -> str:
    """Thirteen digits of somebody born before `until`."""
    century = draw(st.sampled_from(centuries))
    born = draw(st.dates(date(century, 1, 1), min(until, date(century + 99, 12, 31))))
    sex = draw(st.sampled_from(_SEX_DIGITS[century]))
    return rrn(f"{born:%y%m%d}{sex}{draw(st.integers(0, 99999)):05}", hyphen="")


@st.composite
def cards(draw: st.DrawFn) -> str:
    """A card number of one of the issuers."""
    prefix, length = draw(st.sampled_from(_ISSUERS))
    return card(prefix + draw(st.text("0123456789", min_size=length - 1 - len(prefix), max_size=length - 1 - len(prefix))))


def grouped(number: str, separator: str) -> str:
    """A card number in the groups it is printed in."""
    groups = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[len(number)]
    ends = [sum(groups[: place + 1]) for place in range(len(groups))]
    return separator.join(number[end - size : end] for end, size in zip(ends, groups, strict=True))
