"""What the level of a warning does to rules: which effect holds where, and that it only ever makes detection more watchful."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.level_effects import CALM, Chosen, Effect, rulings
from detect import rules
from detect.correlation.definition import Bound
from detect.rules import RuleBook
from detect.tuning import LEVELS, Change, facts_of, laid_over, scaled

RULE = "00000000-0000-4000-8000-000000000001"
COUNT = "00000000-0000-4000-8000-000000000002"
TEXT = f"""title: Web
id: {RULE}
name: web
status: test
level: low
tags: [attack.t1190]
logsource: {{category: firewall}}
detection: {{s: {{dst_port: 80}}, condition: s}}
---
title: Many
id: {COUNT}
level: medium
tags: [attack.t1046]
correlation: {{type: event_count, rules: [web], group-by: [src_ip], timespan: 1m, condition: {{gte: 10, lt: 100}}}}
"""
BOOK = rules.parse(TEXT, "own/watch/r.yml")
(CORRELATION,) = BOOK.correlations


def chosen(*rules: str, tags: Sequence[str] = (), status: Sequence[str] = (), folders: Sequence[str] = ()) -> Chosen:
    return Chosen(frozenset(rules), frozenset(tags), frozenset(status), frozenset(folders))


def effect(
    source: str,
    agencies: Sequence[str] = (),
    factor: float = 1.0,
    off: Sequence[Chosen] = (),
    thresholds: Sequence[tuple[Chosen, float | None, dict[str, float]]] = (),
    raised: Sequence[tuple[Chosen, str]] = (),
) -> Effect:
    named = tuple((f"set{n}", one) for n, one in enumerate(off))
    return Effect(source, "alert", frozenset(agencies), named, factor, tuple(thresholds), tuple(raised))


@pytest.mark.parametrize(
    ("by", "held"),
    [
        (chosen(RULE), [RULE]),
        (chosen(tags=["attack.t1046"]), [COUNT]),
        (chosen(status=["test"]), [RULE]),
        (chosen(folders=["watch"]), [RULE, COUNT]),
        (chosen(folders=["wat", "r.yml"]), []),
    ],
)
def test_rules_are_chosen_by_id_tag_status_and_folder(by: Chosen, held: list[str]) -> None:
    every = [*BOOK.rules, *BOOK.correlations]
    assert [one.id for one in every if by.holds(facts_of(one))] == held


def test_the_gravest_that_reaches_an_agency_holds_there_alone() -> None:
    calm = effect(CALM, off=[chosen(RULE)])
    everywhere = effect("warning/WRN-1", off=[chosen(RULE)], factor=0.5)
    here = effect("warning/WRN-2", ["gu"])
    found = laid_over({}, [here, everywhere, calm], BOOK)
    assert found.of(RULE, "gu").enabled
    assert not found.of(RULE, "dong").enabled
    assert found.thresholds(CORRELATION, "gu") == CORRELATION.bounds
    assert found.thresholds(CORRELATION, "dong") == (Bound("<", 100.0), Bound(">=", 5.0))
    assert {agency: told[0].source for agency, told in rulings([here, everywhere, calm], facts_of(CORRELATION)).items()} == {
        "": "warning/WRN-1",
        "gu": "warning/WRN-2",
    }


def test_what_is_across_agencies_keeps_to_warnings_of_every_agency() -> None:
    assert laid_over({}, [effect("w", ["gu"], 0.5), effect(CALM)], BOOK).thresholds(CORRELATION, "") == CORRELATION.bounds
    assert laid_over({}, [effect("w", [], 0.5), effect(CALM)], BOOK).thresholds(CORRELATION, "") != CORRELATION.bounds


def test_the_first_threshold_that_fits_counts_and_takes_the_place_of_the_factor() -> None:
    one = effect("w", factor=0.1, thresholds=[(chosen(COUNT), None, {"gte": 7.0}), (chosen(tags=["attack.t1046"]), 0.5, {})])
    assert laid_over({}, [one], BOOK).thresholds(CORRELATION, "gu") == (Bound(">=", 7.0),)
    own = {(COUNT, "gu"): Change(bounds=(Bound(">=", 40.0),))}
    assert laid_over(own, [one], BOOK).thresholds(CORRELATION, "gu") == (Bound(">=", 40.0),), "what a person set is left"
    half = effect("w", thresholds=[(chosen(COUNT), 0.5, {})])
    assert laid_over(own, [half], BOOK).thresholds(CORRELATION, "gu") == (Bound(">=", 20.0),), "and taken times a factor"


def test_a_level_is_raised_and_never_lowered() -> None:
    one = effect("w", raised=[(chosen(tags=["attack.t1190", "attack.t1046"]), "medium")])
    found = laid_over({(RULE, "gu"): Change(level="critical"), (RULE, "dong"): Change(level="low")}, [one], BOOK)
    assert [found.of(RULE, agency).level for agency in ("gu", "dong", "si")] == ["critical", "medium", "medium"]
    assert found.of(COUNT, "gu").level == "", "medium it is"


@pytest.mark.parametrize(
    ("relation", "value", "factor", "wanted"),
    [
        (">=", 10, 0.5, 5),
        (">=", 5, 0.5, 3),
        (">=", 3, 0.1, 2),
        (">=", 1, 0.5, 1),
        (">", 9, 0.5, 4),
        (">", 1, 0.5, 1),
        (">", 0, 0.5, 0),
        ("<", 10, 0.5, 10),
        ("=", 10, 0.5, 10),
    ],
)
def test_a_count_is_lowered_to_whole_numbers_and_not_below_two(relation: str, value: float, factor: float, wanted: float) -> None:
    assert scaled([Bound(relation, float(value))], factor, counts=True) == (Bound(relation, float(wanted)),)


def test_sums_are_taken_as_they_are() -> None:
    assert scaled([Bound(">=", 5.0)], 0.5, counts=False) == (Bound(">=", 2.5),)


CHANGES = st.builds(
    Change,
    st.booleans(),
    st.sampled_from(["", *LEVELS]),
    st.sampled_from([(), (Bound(">=", 4.0),), (Bound(">", 30.0), Bound("<", 90.0))]),
)
EFFECTS = st.lists(
    st.builds(
        effect,
        st.just("w"),
        st.sampled_from([[], ["gu"], ["dong", "gu"]]),
        st.floats(0.01, 1),
        st.lists(st.sampled_from([chosen(RULE), chosen(COUNT)]), max_size=1),
        st.just(()),
        st.lists(st.tuples(st.sampled_from([chosen(RULE), chosen(folders=["watch"])]), st.sampled_from(LEVELS)), max_size=2),
    ),
    max_size=3,
)


@given(st.dictionaries(st.tuples(st.sampled_from([RULE, COUNT]), st.sampled_from(["", "gu", "si"])), CHANGES), EFFECTS)
def test_no_effect_makes_detection_less_watchful_but_by_a_set_that_is_off(
    own: dict[tuple[str, str], Change], effects: list[Effect]
) -> None:
    before, after = laid_over(own, (), BOOK), laid_over(own, effects, BOOK)
    for rule in (BOOK.rules[0], CORRELATION):
        for agency in ("gu", "dong", "si"):
            was, now = before.of(rule.id, agency), after.of(rule.id, agency)
            holding = next((one for one in effects if one.reaches(agency)), None)
            off = holding is not None and any(one.holds(facts_of(rule)) for _, one in holding.off)
            assert now.enabled is (was.enabled and not off)
            assert LEVELS.index(now.level or rule.level) >= LEVELS.index(was.level or rule.level)
    for agency in ("gu", "dong", "si"):
        pairs = zip(before.thresholds(CORRELATION, agency), after.thresholds(CORRELATION, agency), strict=True)
        for old, new in pairs:
            assert old.relation == new.relation
            assert new.value <= old.value if old.relation in (">", ">=") else new.value == old.value


def test_without_effects_nothing_is_changed() -> None:
    assert laid_over({}, (), BOOK).changes == {}
    assert laid_over({}, [effect(CALM)], RuleBook(())).changes == {}
    assert laid_over({}, [effect(CALM)], BOOK).changes == {}
