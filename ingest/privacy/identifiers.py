"""Resident registration numbers and card numbers: what is one, and what only looks like one.

A resident registration number is a birth date YYMMDD, a digit of century and sex, and six more. The last is a check digit: the digits
before it weighted 2 to 9, 2 to 5, the sum's remainder modulo 11 taken from 11, the last digit of that (Enforcement Rule of the Resident
Registration Act, Article 2). The check digit of a foreigner's number (digit of century and sex 5 to 8) is told in two ways, this one and
this one plus 2: both are taken. Numbers given since 2020-10-05 end in six random digits and have no check digit.

A card number has the length and first digits of an issuer (ISO/IEC 7812) and ends in the check digit of Luhn. Cards for use in Korea only
begin with 9.

All functions take matrices of digits 0 to 9, one number a row, and tell for each row.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Digits = npt.NDArray[Any]
Told = npt.NDArray[np.bool_]

RRN_LENGTH: Final = 13
CARD_LENGTHS: Final = (14, 15, 16, 17, 18, 19)
_WEIGHTS: Final = np.array([2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])
_CENTURY: Final = np.array([1800, 1900, 1900, 2000, 2000, 1900, 1900, 2000, 2000, 1800])  # by the digit of century and sex
_FIRST_FOREIGN, _LAST_FOREIGN = 5, 8
_MONTH_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_FEBRUARY: Final = 2
_DECEMBER: Final = 12
_RANDOM_SINCE: Final = 20201005
_ISSUERS: Final = (  # first six digits, from and to, and the lengths they come in
    (300000, 305999, (14,)),  # Diners
    (309500, 309599, (14,)),
    (360000, 369999, (14,)),
    (380000, 399999, (14,)),
    (340000, 349999, (15,)),  # American Express
    (370000, 379999, (15,)),
    (222100, 272099, (16,)),  # Mastercard
    (510000, 559999, (16,)),
    (352800, 358999, (16,)),  # JCB
    (400000, 499999, (16,)),  # Visa
    (601100, 601199, (16,)),  # Discover
    (644000, 659999, (16,)),
    (620000, 629999, (16, 17, 18, 19)),  # UnionPay
    (810000, 817199, (16, 17, 18, 19)),
    (900000, 999999, (16,)),  # for use in Korea only
)
_LEADING: Final = {
    length: np.array([any(str(low)[0] == str(digit) and length in lengths for low, _, lengths in _ISSUERS) for digit in range(10)])
    for length in CARD_LENGTHS
}


def may_lead_card(first: Digits, length: int) -> Told:
    """Whether some issuer's card numbers of that length begin with each of the digits: a cheap look before `is_card_number`."""
    return np.asarray(_LEADING[length][first])


def is_registration_number(rows: Digits, today: date) -> Told:
    """Whether 13 digits are a registration number by their date of birth and check digit."""
    born = birth_dates(rows, today)
    rest = (11 - rows[:, :12] @ _WEIGHTS % 11) % 10
    foreign = (rows[:, 6] >= _FIRST_FOREIGN) & (rows[:, 6] <= _LAST_FOREIGN)
    last = rows[:, 12]
    return np.asarray((born > 0) & ((last == rest) | (foreign & (last == (rest + 2) % 10))))


def may_be_random(rows: Digits, today: date) -> Told:
    """Whether 13 digits may be a number without a check digit: of somebody born since there is none."""
    return np.asarray(birth_dates(rows, today) >= _RANDOM_SINCE)


def birth_dates(rows: Digits, today: date) -> npt.NDArray[np.int64]:
    """The date of birth as the number YYYYMMDD; 0 when there is no such day, or it is yet to come."""
    year = _CENTURY[rows[:, 6]] + rows[:, 0] * 10 + rows[:, 1]
    month = rows[:, 2] * 10 + rows[:, 3]
    day = rows[:, 4] * 10 + rows[:, 5]
    leap = (year % 4 == 0) & (year % 100 != 0) | (year % 400 == 0)
    last = _MONTH_DAYS[np.minimum(month, _DECEMBER)] + (leap & (month == _FEBRUARY))
    born = year * 10_000 + month * 100 + day
    tomorrow = today + timedelta(days=1)  # it may be tomorrow already where the line was written
    possible = (month <= _DECEMBER) & (day >= 1) & (day <= last) & (born <= int(f"{tomorrow:%Y%m%d}"))
    return np.where(possible, born, 0)


def is_card_number(rows: Digits) -> Told:
    """Whether digits, 14 to 19 of them, are a card number by their issuer and check digit."""
    length = rows.shape[1]
    first = rows[:, :6] @ np.array([100_000, 10_000, 1_000, 100, 10, 1])
    issued = np.zeros(len(rows), bool)
    for low, high, lengths in _ISSUERS:
        if length in lengths:
            issued |= (first >= low) & (first <= high)
    doubled = rows[:, length % 2 :: 2] * 2
    total = rows[:, 1 - length % 2 :: 2].sum(axis=1) + (doubled - 9 * (doubled > 9)).sum(axis=1)
    return np.asarray(issued & (total % 10 == 0))
