"""Which findings are one incident."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respond import grouping
from respond.grouping import Key, Span
from respond.incidents import severity
from tests.detections import START, Finding, table

MINUTE = 60_000
START_MS = int(START.timestamp() * 1000)


def clustered(findings: Sequence[Finding], window: int = 60) -> tuple[list[grouping.Cluster], list[int]]:
    found = grouping.cluster(grouping.with_entity(severity.load().rated(table(findings))), window * MINUTE)
    return list(found.clusters), found.of_row.tolist()


@pytest.mark.parametrize(
    ("columns", "kind", "value"),
    [
        ({"src_ip": "192.0.2.1", "user": "kim", "dst_ip": "192.0.2.9", "device": "fw"}, "ip", "192.0.2.1"),
        ({"src_ip": "2001:db8::1", "user": "kim"}, "ip", "2001:db8::1"),
        ({"user": "kim", "dst_ip": "192.0.2.9", "device": "fw"}, "user", "kim"),
        ({"dst_ip": "192.0.2.9", "device": "fw"}, "ip", "192.0.2.9"),
        ({"device": "fw"}, "device", "fw"),
        ({}, "device", ""),
    ],
)
def test_the_main_entity(columns: dict[str, str], kind: str, value: str) -> None:
    clusters, _ = clustered([Finding(0, src=None, more=tuple(columns.items()))])
    assert clusters[0].key == Key("rule-scan", "parks", kind, value)


def test_what_parts_groups() -> None:
    findings = [
        Finding(0),
        Finding(1, more=(("rule_id", "other"),)),
        Finding(2, more=(("agency", "water"),)),
        Finding(3, src="192.0.2.8"),
        Finding(4, src=None, more=(("user", "192.0.2.7"),)),
        Finding(5, src=None, more=(("device", "192.0.2.7"),)),
        Finding(6),
        Finding(7, more=(("exercise", "DRL-2026-000001"),)),
        Finding(8, more=(("exercise", "DRL-2026-000002"),)),
    ]
    clusters, of_row = clustered(findings)
    assert len({cluster.key.digest for cluster in clusters}) == 8
    assert of_row[0] == of_row[6]
    assert len(set(of_row)) == 8


def test_a_cluster_tells_of_all_its_findings() -> None:
    findings = [
        Finding(0, 10, more=(("rule_level", "low"), ("rule_tags", "attack.t1046"))),
        Finding(1, 2, more=(("rule_level", "critical"), ("rule_tags", "attack.discovery,car.1"))),
        Finding(2, 5, more=(("rule_level", ""), ("rule_tags", ""))),
    ]
    (cluster,), _ = clustered(findings)
    assert (cluster.detections, cluster.severity, cluster.title) == (3, "critical", "Port scan")
    assert cluster.span == Span(START_MS + 2 * MINUTE, START_MS + 10 * MINUTE)
    assert cluster.tags == ("attack.discovery", "attack.t1046")


def test_the_window_is_included_and_no_more() -> None:
    assert len(clustered([Finding(0, 0), Finding(1, 60)])[0]) == 1
    assert len(clustered([Finding(0, 0), Finding(1, 60 + 1 / 60_000)])[0]) == 2


def test_a_rule_without_level_counts_as_medium() -> None:
    assert grouping.worst("") == "medium"
    assert grouping.worst("", "low") == "medium"
    assert grouping.worst("strange", "high") == "high"
    assert grouping.worst("informational") == "informational"


def test_keys_do_not_run_into_one_another() -> None:
    assert Key("a", "b", "c", "d").digest != Key("a", "b", "cd", "").digest
    assert Key("a|b", "c", "ip", "d").digest != Key("a", "b|c", "ip", "d").digest
    assert Key("r", "a", "user", "x" * 70_000).digest == Key("r", "a", "user", "x" * 70_000).digest
    assert len(Key("r", "a", "user", "김철수\0").digest) == 32


def test_no_findings_no_clusters() -> None:
    found = grouping.cluster(grouping.with_entity(severity.load().rated(table([]))), MINUTE)
    assert (list(found.clusters), found.of_row.tolist()) == ([], [])


def test_findings_in_many_pieces() -> None:
    pieces = pa.concat_tables([table([Finding(0)]), table([]), table([Finding(1, src="2001:db8::2")]), table([Finding(2, src=None)])])
    found = grouping.cluster(grouping.with_entity(severity.load().rated(pieces)), MINUTE)
    assert [cluster.key.value for cluster in (found.clusters[place] for place in found.of_row)] == ["192.0.2.7", "2001:db8::2", ""]


minutes = st.integers(0, 400).map(lambda tenth: tenth / 2)
rows = st.lists(st.tuples(minutes, st.sampled_from(["192.0.2.1", "192.0.2.2", None])), min_size=1, max_size=25)


def connected_by_definition(findings: Sequence[Finding], window: int) -> set[frozenset[int]]:
    """The components, found by asking every pair: the definition itself."""
    sets = [{finding.offset} for finding in findings]
    for one in findings:
        for other in findings:
            if one.src == other.src and abs(one.minute - other.minute) <= window:
                first = next(found for found in sets if one.offset in found)
                second = next(found for found in sets if other.offset in found)
                if first is not second:
                    first |= second
                    sets.remove(second)
    return {frozenset(found) for found in sets}


def offsets_together(findings: Sequence[Finding], of_row: Sequence[int]) -> set[frozenset[int]]:
    by_cluster: dict[int, set[int]] = {}
    for finding, cluster in zip(findings, of_row, strict=True):
        by_cluster.setdefault(cluster, set()).add(finding.offset)
    return {frozenset(found) for found in by_cluster.values()}


@given(rows, st.integers(1, 30), st.randoms(use_true_random=False))
def test_clusters_are_the_connected_components_in_any_order(
    drawn: list[tuple[float, str | None]], window: int, order: random.Random
) -> None:
    findings = [Finding(place, minute, src) for place, (minute, src) in enumerate(drawn)]
    expected = connected_by_definition(findings, window)
    order.shuffle(findings)
    clusters, of_row = clustered(findings, window)
    assert offsets_together(findings, of_row) == expected
    assert sum(cluster.detections for cluster in clusters) == len(findings)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), max_size=15), st.integers(0, 20))
def test_components_of_spans_hold_what_touches(drawn: list[tuple[int, int]], window: int) -> None:
    spans = [Span(first, first + length) for first, length in drawn]
    found = grouping.components(spans, window)
    assert sorted(place for members in found for place in members) == list(range(len(spans)))
    together = {place: number for number, members in enumerate(found) for place in members}
    for one, a in enumerate(spans):
        for other, b in enumerate(spans):
            if a.first - b.last <= window and b.first - a.last <= window:
                assert together[one] == together[other]
    for earlier, later in pairwise(found):
        assert min(spans[place].first for place in later) - max(spans[place].last for place in earlier) > window
