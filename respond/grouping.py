"""Which findings are one incident: pure functions over columns.

Findings share a **group** when they have the same rule family (its rule, for now), agency, drill (or none) and main entity: the source
address, else the user, else the destination address, else the device. Within a group, findings whose event times are at most a window
apart belong together, and so do those that others connect: an incident is a connected component of its group's event times. So the
incidents are the same in whatever order findings come and however they are cut into messages, as long as nobody has closed one in
between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]

LEVELS: Final = ("informational", "low", "medium", "high", "critical")
UNRATED: Final = "medium"
"""What a rule without a known level counts as."""
SEVERITY: Final = "incident_severity"
"""The column that says how grave each finding is (`respond.incidents.severity`)."""
_KEY: Final = ("rule_id", "agency", "entity_kind", "entity_value", "exercise")


@dataclass(frozen=True, slots=True)
class Key:
    """What the findings of a group have in common. `kind` is ip, user or device; `exercise` the drill they are of, '' when real."""

    rule_id: str
    agency: str
    kind: str
    value: str
    exercise: str = ""

    @property
    def digest(self) -> str:
        """A short name of the key, the same everywhere: 32 hex digits, whatever the length of its parts."""
        return hashed(self.rule_id, self.agency, self.kind, self.value, *([self.exercise] if self.exercise else []))


@dataclass(frozen=True, slots=True)
class Span:
    """From the first to the last event, milliseconds since the epoch, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """Findings of one group that belong together by themselves."""

    key: Key
    span: Span
    detections: int
    severity: str
    title: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clustered:
    """The clusters of a table, and for each of its rows the place of its cluster."""

    clusters: Sequence[Cluster]
    of_row: Ints


def hashed(*parts: str) -> str:
    """32 hex digits that name `parts`."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def worst(*levels: str) -> str:
    """The gravest of some levels; a rule without a known level counts as medium."""
    return max((level if level in LEVELS else UNRATED for level in levels), key=LEVELS.index)


def address_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """16-byte addresses as text, IPv4 in its own form; converts each distinct address once."""
    coded = column.combine_chunks().dictionary_encode()
    words = pa.array([_address(packed) for packed in coded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([words.take(coded.indices)], pa.string())


def _address(packed: bytes) -> str:
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address)


def with_entity(findings: pa.Table) -> pa.Table:
    """`findings` (rows of DETECTIONS) with addresses as text and the columns `entity_kind` and `entity_value`."""
    for name in ("src_ip", "dst_ip"):
        findings = findings.set_column(findings.schema.get_field_index(name), name, address_text(findings[name]))
    user = pc.if_else(pc.equal(findings["user"], ""), None, findings["user"])
    value = pc.coalesce(findings["src_ip"], user, findings["dst_ip"], findings["device"])
    has_user = pc.and_(pc.is_null(findings["src_ip"]), pc.is_valid(user))
    has_ip = pc.or_(pc.is_valid(findings["src_ip"]), pc.is_valid(findings["dst_ip"]))
    kind = pc.if_else(has_user, "user", pc.if_else(has_ip, "ip", "device"))
    return findings.append_column("entity_kind", kind).append_column("entity_value", value)


def cluster(findings: pa.Table, window_ms: int, since: Ints | None = None) -> Clustered:
    """The clusters of `findings` (from `with_entity`, and rated), in order of first event within each group.

    `since` gives for each finding an instant (milliseconds) it belongs together with, be it ever so far from its own.
    """
    if not findings.num_rows:
        return Clustered((), np.empty(0, np.int64))
    group = _group_numbers(findings)
    times = _numbers(findings["event_time"].cast(pa.int64()))
    first, last = (times, times) if since is None else (np.minimum(times, since), np.maximum(times, since))
    order = np.lexsort((first, group))
    # The latest end so far in the group: groups are lifted, one after the other, above all that stands before.
    lift = group[order] * int(last.max() - first.min() + 1)
    reached = np.maximum.accumulate(last[order] + lift) - lift
    starts = np.ones(len(order), bool)
    starts[1:] = (np.diff(group[order]) != 0) | (first[order][1:] - reached[:-1] > window_ms)
    of_row = np.empty(len(order), np.int64)
    of_row[order] = np.cumsum(starts) - 1
    return Clustered(_described(findings, first, last, of_row), of_row)


def _group_numbers(findings: pa.Table) -> Ints:
    """Rows of the same group get the same number."""
    number = np.zeros(findings.num_rows, np.int64)
    for name in _KEY:
        codes = _numbers(findings[name].combine_chunks().dictionary_encode().indices)
        _, number = np.unique(number * (int(codes.max()) + 1) + codes, return_inverse=True)
    return number


def _numbers(column: pa.ChunkedArray | pa.Array) -> Ints:
    return np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()).astype(np.int64)


def _described(findings: pa.Table, first: Ints, last: Ints, of_row: Ints) -> list[Cluster]:
    keyed = pa.table(
        {
            "cluster": of_row,
            "first": first,
            "last": last,
            **{name: findings[name] for name in (*_KEY, "rule_title", SEVERITY, "rule_tags")},
        }
    )
    names = [(name, "min") for name in (*_KEY, "rule_title")]
    spans = [("first", "min"), ("last", "max"), ([], "count_all")]
    words = [(SEVERITY, "distinct"), ("rule_tags", "distinct")]
    found = keyed.group_by("cluster", use_threads=False).aggregate([*names, *spans, *words]).sort_by("cluster")
    return [
        Cluster(
            key=Key(*(row[f"{name}_min"] for name in _KEY)),
            span=Span(row["first_min"], row["last_max"]),
            detections=row["count_all"],
            severity=worst(*row[f"{SEVERITY}_distinct"]),
            title=row["rule_title_min"],
            tags=attack_tags(row["rule_tags_distinct"]),
        )
        for row in found.to_pylist()
    ]


def attack_tags(joined: Sequence[str]) -> tuple[str, ...]:
    """The ATT&CK tags (`attack.t1046`) among comma-joined tags, sorted."""
    return tuple(sorted({tag for tags in joined for tag in tags.split(",") if tag.startswith("attack.")}))


def components(spans: Sequence[Span], window_ms: int) -> list[list[int]]:
    """Which spans connect, as lists of their places; spans connect when the time between them is at most the window.

    Components come in order of time, and their members in order of first event (then of place).
    """
    found: list[list[int]] = []
    reach = 0
    for place in sorted(range(len(spans)), key=lambda place: (spans[place].first, place)):
        if found and spans[place].first - reach <= window_ms:
            found[-1].append(place)
            reach = max(reach, spans[place].last)
        else:
            found.append([place])
            reach = spans[place].last
    return found
