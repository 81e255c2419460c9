"""Which events a detector looks at, and what of them it names: the SQL that the detectors share.

Inside is what the line says or the asset inventory told (`direction`), else by address: private, shared, link-local, loopback, multicast
and reserved ranges (RFC 1918, 6598, 3927, 1122, 5771, 4193, 4291; of IPv6 all from fc00:: on) are inside, everything else is outside.
Replayed old logs say nothing about today and are left out of all of them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.baseline_settings import Side, Term
from core.events import EVENTS, IntakeFlag, Kind
from core.storage.event_queries import Where

SEPARATOR: Final = "\x1f"
"""Between the parts of a subject; no log has it in a name."""

_RANGES: Final = (
    ("::ffff:0.0.0.0", "::ffff:0.255.255.255"),
    ("::ffff:10.0.0.0", "::ffff:10.255.255.255"),
    ("::ffff:100.64.0.0", "::ffff:100.127.255.255"),
    ("::ffff:127.0.0.0", "::ffff:127.255.255.255"),
    ("::ffff:169.254.0.0", "::ffff:169.254.255.255"),
    ("::ffff:172.16.0.0", "::ffff:172.31.255.255"),
    ("::ffff:192.168.0.0", "::ffff:192.168.255.255"),
    ("::ffff:224.0.0.0", "::ffff:255.255.255.255"),
    ("::", "::1"),
    ("fc00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
)

LIVE: Final = f"bitAnd(intake_flags, {IntakeFlag.REPLAY.value}) = 0"


def internal(column: str) -> str:
    """Whether an address column holds an address of the inside; NULL where it holds none."""
    return "(" + " OR ".join(f"({column} >= toIPv6('{first}') AND {column} <= toIPv6('{last}'))" for first, last in _RANGES) + ")"


OUTBOUND: Final = (
    f"({LIVE} AND isNotNull(src_ip) AND isNotNull(dst_ip) AND (direction = 'outbound'"
    f" OR (direction = '' AND {internal('src_ip')} AND NOT {internal('dst_ip')})))"
)
"""From a host of the agency to the outside."""


@dataclass(frozen=True, slots=True)
class Agencies:
    """The agencies some settings hold for: these, or all but these."""

    names: frozenset[str]
    all_but: bool

    @property
    def marks(self) -> list[str]:
        """Agencies to which what holds for all of these is put down: themselves, or '' when they are not named."""
        return [""] if self.all_but else sorted(self.names)

    def add_to(self, where: Where) -> None:
        if self.names or not self.all_but:
            negated = "NOT " if self.all_but else ""
            where.add(lambda p: f"agency {negated}IN {p}", ("Array(String)", sorted(self.names)))


@dataclass(frozen=True, slots=True)
class Population:
    """Events, and the SQL of what each of them is an event of: its `subject`, a text."""

    condition: str
    subject: str
    values: tuple[tuple[str, Collection[str]], ...] = ()

    def where(self, agencies: Agencies, since: datetime, until: datetime) -> Where:
        """These events, received in [since, until)."""
        where = Where([self.condition])
        agencies.add_to(where)
        where.between("received_at", since, until)
        for column, words in self.values:
            where.add(lambda p, name=column: f"`{name}` IN {p}", ("Array(String)", sorted(words)))
        return where


def text(column: str) -> str:
    """A column as text: addresses in their usual form, '' where it is not set."""
    match EVENTS.column(column).kind:
        case Kind.TEXT:
            return f"`{column}`"
        case Kind.IP:
            return f"replaceOne(ifNull(IPv6NumToString(`{column}`), ''), '::ffff:', '')"
    return f"ifNull(toString(`{column}`), '')"


def of_term(term: Term) -> Population:
    """The events a term chooses; the subject is the term's name and the values."""
    conditions = [LIVE, *(f"{text(column)} != ''" for column in term.columns)]
    conditions += _side("src_ip", term.source_side) + _side("dst_ip", term.destination_side)
    parts = ", ".join([f"'{term.name}'", *(text(column) for column in term.columns)])
    return Population(" AND ".join(conditions), f"concat_ws('{SEPARATOR}', {parts})", tuple(term.when.items()))


def _side(column: str, side: Side) -> list[str]:
    if side == "any":
        return []
    inside = internal(column)
    return [f"isNotNull({column})", inside if side == "internal" else f"NOT {inside}"]


def values_of(term: Term, subject: str) -> dict[str, str]:
    """The values in a subject of a term, by column."""
    return dict(zip(term.columns, subject.split(SEPARATOR)[1:], strict=True))
