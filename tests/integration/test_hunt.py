"""Hunts over kept history: the stream's findings again, counted truly, in slices, resumed, cancelled, capped."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from core.clock import from_millis, millis
from core.errors import Invalid, NotFound
from core.rule_records import RuleTuning
from detect import rules
from detect.correlation.history import fires
from detect.hunt import correlations, findings, occurrences, plan, requests, runner, slices, statements, tuned
from detect.hunt.plan import estimate
from detect.hunt.requests import Kind, State, Wish
from detect.hunt.search import Search, Tally
from detect.hunt.slices import Density
from detect.hunt.statements import Reach
from detect.stream import Detector
from tests.hunting import DAY_AGO, NOW, Ground, events, ground, rule, rule_id

TWO_DAYS = Reach(NOW - timedelta(days=2), NOW, None)
MINE = re.compile(r"^(rule|detection)")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground(tmp_path) as made:
        yield made


def streamed(here: Ground, rows: pa.Table) -> list[dict[str, Any]]:
    """The stream's detections."""
    detector = Detector(here.engine, here.book, here.clock)
    try:
        return list(detector.detect(rows).to_pylist())
    finally:
        detector.close()


def alike(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a detection says, whoever made it: all but its place, its origin and its details."""
    of_maker = {"raw_epoch", "raw_partition", "raw_offset", "raw_line", "origin", "details"}
    return sorted(
        ({name: value for name, value in row.items() if name not in of_maker} for row in found), key=lambda row: str(row["detection_id"])
    )


WORDS = ("union select", "etc/passwd", "wp-login", "cgi-bin", "jndi:ldap", "sqlmap", "powershell", "cmd.exe")


async def test_a_hunt_gives_what_the_stream_gave(here: Ground) -> None:
    here.rules(
        rule(1, "{s: {url|contains: 'union select'}, f: {http_status: 403}, condition: s and not f}"),
        rule(2, "{s: {src_ip|cidr: 203.0.113.0/24, dst_port: [22, 3389]}, condition: s}", "firewall"),
        rule(3, "{s: ['line 7', Line 13], condition: s}"),
        rule(4, "{s: {rule|startswith: Allow}, condition: s}", "firewall"),
    )
    rows = events(
        [
            {
                "agency": ("seogu", "parks")[n % 2],
                "log_class": ("web", "firewall")[n // 7 % 2],
                "url": f"/?q={n} UNION SELECT" if n % 5 == 0 else "/",
                "http_status": (200, 403, None)[n % 3],
                "src_ip": f"203.0.{112 + n % 3}.9",
                "dst_port": (22, 80, 3389)[(n + 1) % 3],
                "rule": f"allow {n % 4}" if n % 2 else "",
                "received_at": millis(DAY_AGO) + 40_000_000 * (n % 4),
            }
            for n in range(200)
        ]
    )
    await here.put(rows)
    hunt_id = here.ask(1, 2, 3, 4)
    await here.run()
    found = await here.detections()
    wanted = streamed(here, rows)
    assert alike(found) == alike(wanted)
    assert len({row["rule_id"] for row in wanted}) == 4
    assert {(row["origin"], row["raw_epoch"], row["kind"]) for row in found} == {("hunt", f"hunt{hunt_id}", "rule")}
    for row in found:
        details = json.loads(row["details"])
        assert details == {"events": [row["detection_id"].split(":")[1]], "event_count": 1, "hunt": hunt_id}
    done = here.hunt(hunt_id)
    assert (done.state, done.rows_total, done.rows_done) == (State.DONE, 200, 200)
    for about in done.rules:
        of_rule = [row for row in wanted if row["rule_id"] == about["id"]]
        for agency, one in done.found[about["id"]].items():
            mine = [row for row in of_rule if row["agency"] == agency]
            first = min(mine, key=lambda row: (row["event_time"], row["raw_offset"], row["raw_line"]))
            assert one == {
                "count": len(mine),
                "first": millis(first["event_time"]),
                "event": first["detection_id"].split(":")[1],
            }
        assert done.kept[about["id"]] == len(of_rule)


async def test_many_rules_are_asked_together_and_find_the_same(here: Ground) -> None:
    texts = [rule(n, f"{{s: {{url|contains: 'w{n} {WORDS[n % 8]}'}}, condition: s}}") for n in range(30)]
    texts += [rule(40 + n, f"{{s: {{http_status: {400 + n}}}, condition: s}}") for n in range(3)]
    texts += [rule(50, "{s: {dst_port: 23}, condition: s}", "firewall"), rule(51, "{s: [W3 cgi-bin], condition: s}")]
    here.rules(*texts)
    url = "/x?q=W{} {}".format
    rows = events(
        [
            {
                "url": url(n % 40, WORDS[n % 8].upper()),
                "raw": url(n % 40, WORDS[n % 8]),
                "http_status": 400 + n % 5,
                "log_class": "firewall" if n % 9 == 0 else "web",
                "dst_port": 23,
            }
            for n in range(400)
        ]
    )
    await here.put(rows)
    compiled = requests.compiled(here.book.rules)
    together = statements.passes(compiled)
    assert sorted(len(one.rules) for one in together) == [1, 34]
    here.ask(*range(30), 40, 41, 42, 50, 51)
    await here.run()
    wanted = streamed(here, rows)
    assert len(wanted) > 300
    assert alike(await here.detections()) == alike(wanted)


TEXTS = st.sampled_from(["", "a", "A", "ab", "aB1", "%", "a*b", "é가", "/x?y", "10", "-a", "\\", "'"])
FIELDS = st.sampled_from(["url", "user_agent", "user", "action", "src_ip", "dst_port", "http_status", "severity"])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.9.0.1", "2001:db8::1", None])
NUMBERS = st.sampled_from([None, 0, 10, 22, 404, 65535])
MODIFIERS = ("", "|contains", "|startswith", "|endswith", "|cased", "|contains|cased", "|re", "|exists", "|cidr", "|gte", "|windash")


@st.composite
def items(draw: st.DrawFn) -> tuple[str, Any]:
    modifier = draw(st.sampled_from(MODIFIERS))
    name = draw(FIELDS)
    value: Any = draw(st.one_of(TEXTS, NUMBERS))
    if modifier == "|exists":
        value = draw(st.booleans())
    elif modifier == "|cidr":
        name, value = "src_ip", draw(st.sampled_from(["10.0.0.0/16", "2001:db8::/32", "0.0.0.0/0"]))
    elif modifier == "|gte":
        name, value = draw(st.sampled_from(["dst_port", "http_status"])), draw(st.integers(0, 500))
    elif modifier == "|re":
        name, value = "url", draw(st.sampled_from(["a.*b", "^/x", "[0-9]+$", "(?i)AB"]))
    return f"{name}{modifier}", value


SEARCHES = st.one_of(
    st.lists(items(), min_size=1, max_size=3).map(dict),
    st.lists(st.sampled_from(["line 1", "LINE 3", "ine"]), min_size=1, max_size=2),
)
CONDITIONS = st.sampled_from(["a", "a and b", "a or b", "a and not b", "not a", "1 of them", "all of them", "not (a or b)"])
EVENTS_MADE = st.fixed_dictionaries(
    {"url": TEXTS, "user_agent": TEXTS, "user": TEXTS, "action": TEXTS, "severity": TEXTS},
    optional={
        "src_ip": ADDRESSES,
        "dst_port": NUMBERS,
        "http_status": NUMBERS,
        "log_class": st.sampled_from(["web", "waf", "firewall"]),
    },
)


async def test_generated_rules_find_the_same_on_the_stream_and_in_history(here: Ground) -> None:
    """Hypothesis draws the rules and events; the two ways are then compared for each draw in one store."""
    draws: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = []

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(
        st.lists(st.tuples(SEARCHES, SEARCHES, CONDITIONS), min_size=4, max_size=12),
        st.lists(EVENTS_MADE, min_size=6, max_size=12),
    )
    def draw(detections: list[tuple[Any, Any, str]], made: list[dict[str, Any]]) -> None:
        draws.append(([{"a": a, "b": b, "condition": condition} for a, b, condition in detections], made))

    draw()
    found_any = 0
    for number, (detections, made) in enumerate(draws):
        texts = [rule(n, json.dumps(detection)) for n, detection in enumerate(detections)]
        book = rules.parse("---\n".join(texts), "drawn.yml")
        here.book = rules.RuleBook(book.rules)
        rows = events(made, offset=1000 * (number + 1), start=DAY_AGO + timedelta(minutes=number))
        await here.put(rows)
        detector = Detector(here.engine, here.book, here.clock)
        wanted = sorted(detector.detect(rows)["detection_id"].to_pylist())
        found_any += len(wanted)
        compiled = list(detector.plan.rules)
        detector.close()
        if not compiled:
            continue
        start = DAY_AGO + timedelta(minutes=number)
        reach = Reach(start, start + timedelta(minutes=1), None)
        hunting = Search(here.store, compiled)
        tallies = await hunting.tallies(reach, 100)
        got = [
            detection_id
            async for lines in hunting.lines(reach, tallies, dict.fromkeys(range(len(compiled)), 100))
            for detection_id in findings.detection_ids(compiled[lines.rule].rule, lines.events).to_pylist()
        ]
        assert sorted(got) == wanted, f"{detections!r} over {made!r}"
        assert sum(tally.count for tally in tallies) == len(wanted)
        whole = await hunting.first(reach, dict.fromkeys(range(len(compiled)), 100))
        assert alike_tallies(whole.tallies) == alike_tallies(await hunting.named(reach, tallies, {}))
        at_once = [
            detection_id
            for place, rows_of in whole.events.items()
            for detection_id in findings.detection_ids(compiled[place].rule, rows_of).to_pylist()
        ]
        assert sorted(at_once) == wanted, f"{detections!r} over {made!r}, in one statement"
        assert not hunting.problems
    assert found_any > 60, "the rules hardly ever match"


def alike_tallies(tallies: list[Tally]) -> list[tuple[int, str, int, int, str]]:
    return sorted((one.rule, one.agency, one.count, one.first, one.event) for one in tallies)


async def test_another_agencys_rows_are_neither_found_nor_counted(here: Ground) -> None:
    here.rules(rule(1, "{s: {url: /bad}, condition: s}"))
    await here.put(events([{"agency": ("seogu", "parks")[n % 2], "url": "/bad"} for n in range(40)]))
    hunt_id = here.ask(1, agencies=frozenset({"seogu"}))
    await here.run()
    done = here.hunt(hunt_id)
    assert (done.rows_total, done.found[rule_id(1)].keys(), done.kept) == (20, {"seogu"}, {rule_id(1): 20})
    assert {row["agency"] for row in await here.detections()} == {"seogu"}
    reach = Reach(NOW - timedelta(days=2), NOW, frozenset({"parks"}))
    assert (await estimate(here.store, Search(here.store, requests.compiled(here.book.rules)), reach)).rows == 20
    with here.database.session(readonly=True) as session:
        with pytest.raises(NotFound):
            requests.get(session, frozenset({"parks"}), hunt_id)
        assert requests.listed(session, frozenset({"parks"})) == []
        assert [hunt.id for hunt in requests.listed(session, frozenset({"seogu", "parks"}))] == [hunt_id]


async def test_slices_resume_where_the_last_runner_stopped(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "FEWEST_ROWS", 30)
    monkeypatch.setattr(plan, "MOST_ROWS", 30)
    here.rules(rule(1, "{s: {url: /bad}, condition: s}"))
    await here.put(events([{"url": "/bad" if n % 3 == 0 else "/"} for n in range(300)]))
    hunt_id = here.ask(1)
    first = here.runner("first")
    for _ in range(4):  # its plan and three slices
        assert await first.step()
    half = here.hunt(hunt_id)
    assert (half.state, half.slices_done, len(half.slices)) == (State.RUNNING, 3, 10)
    assert 0 < half.rows_done < half.rows_total == 300

    # The fourth slice is told, and its runner dies before that is written down.
    monkeypatch.setattr(first._queue, "advance", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        await first.step()
    other = here.runner("other")
    assert not await other.step(), "it is still held"
    here.clock.advance(timedelta(minutes=2))
    await here.run(other)
    done = here.hunt(hunt_id)
    assert (done.state, done.slices_done, done.rows_done) == (State.DONE, 10, 300)
    assert done.found[rule_id(1)]["seogu"]["count"] == 100
    found = await here.detections()
    assert len(found) == len({row["detection_id"] for row in found}) == 100


async def test_a_cancelled_hunt_stops_and_tells_nothing_more(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "FEWEST_ROWS", 30)
    monkeypatch.setattr(plan, "MOST_ROWS", 30)
    here.rules(rule(1, "{s: {url: /bad}, condition: s}"))
    await here.put(events([{"url": "/bad"} for n in range(300)]))
    hunt_id = here.ask(1)
    hunting = here.runner()
    await hunting.step()
    await hunting.step()
    counted = Search.first

    async def cancelled_meanwhile(self: Search, *arguments: Any) -> Any:
        with here.database.session() as session:
            requests.cancel(session, None, hunt_id)
        return await counted(self, *arguments)

    monkeypatch.setattr(Search, "first", cancelled_meanwhile)
    assert await hunting.step()
    assert not await hunting.step()
    await here.store_detections()
    assert (here.hunt(hunt_id).state, here.hunt(hunt_id).slices_done) == (State.CANCELLED, 1)
    assert len(await here.detections()) == here.hunt(hunt_id).kept[rule_id(1)] == 30


async def test_the_earliest_are_kept_up_to_the_cap_and_all_are_counted(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_KEPT", 25)
    monkeypatch.setattr(plan, "FEWEST_ROWS", 20)
    monkeypatch.setattr(plan, "MOST_ROWS", 20)
    here.rules(rule(1, "{s: {url: /bad}, condition: s}"), rule(2, "{s: {url: /bad, http_status: 200}, condition: s}"))
    rows = events([{"url": "/bad", "http_status": 200 if n == 90 else 404, "agency": ("seogu", "parks")[n % 2]} for n in range(100)])
    await here.put(rows)
    hunt_id = here.ask(1, 2)
    await here.run()
    done = here.hunt(hunt_id)
    assert sum(one["count"] for one in done.found[rule_id(1)].values()) == 100
    assert done.kept == {rule_id(1): 25, rule_id(2): 1}
    kept = [row for row in await here.detections() if row["rule_id"] == rule_id(1)]
    assert sorted(row["raw"] for row in kept) == sorted(f"line {n}" for n in range(25))


def tune(here: Ground, number: int, agency: str, *, enabled: bool = True, level: str = "") -> None:
    row = RuleTuning(rule_id=rule_id(number), agency=agency, enabled=enabled, level=level, owner="o", reason="r", at=NOW)
    row.condition = row.suppress = None
    with here.database.session() as session:
        session.add(row)


async def test_saved_rules_are_hunted_as_agencies_tuned_them_and_pasted_ones_as_they_are_written(here: Ground) -> None:
    text = rule(1, "{s: {url: /bad}, condition: s}")
    here.rules(text, rule(2, "{s: {url|contains: bad}, condition: s}"))
    await here.put(events([{"url": "/bad", "agency": ("seogu", "parks", "others")[n % 3]} for n in range(30)]))
    tune(here, 1, "seogu", enabled=False)
    tune(here, 1, "parks", level="critical")
    tune(here, 2, "", enabled=False)
    tune(here, 2, "others", enabled=True)
    for kind in (Kind.HUNT, Kind.BACKFILL):
        here.clock.advance(timedelta(hours=1))
        hunt_id = here.ask(1, 2, kind=kind)
        await here.run()
        done = here.hunt(hunt_id)
        assert {one: sorted(agencies) for one, agencies in done.found.items()} == {rule_id(1): ["others", "parks"], rule_id(2): ["others"]}
        assert [tuned.off_at(about) for about in done.rules] == [["seogu"], [""]]
        found = await here.detections(f"raw_epoch LIKE '%{hunt_id}'")
        assert len(found) == 30
        own = {(row["rule_id"], row["agency"], row["rule_level"]) for row in found}
        assert own == {(rule_id(1), "others", "medium"), (rule_id(1), "parks", "critical"), (rule_id(2), "others", "medium")}
    pasted = here.ask(text=text)
    await here.run()
    assert {row["rule_level"] for row in await here.detections(f"raw_epoch LIKE '%{pasted}'")} == {"medium"}
    assert sorted(here.hunt(pasted).found[rule_id(1)]) == ["others", "parks", "seogu"]


async def test_the_estimate_is_of_the_right_order(here: Ground) -> None:
    here.rules(rule(1, "{s: {url|contains: bad}, condition: s}"), rule(2, "{s: [needle], condition: s}"))
    nothing = await estimate(here.store, Search(here.store, requests.compiled(here.book.rules)), TWO_DAYS)
    assert (nothing.rows, nothing.bytes, nothing.seconds) == (0, 0, 0.0)
    await here.put(events([{"url": "/x" * 10, "raw": "r" * 500} for n in range(5000)]))
    url, whole = requests.compiled(here.book.rules)
    cheap = await estimate(here.store, Search(here.store, [url]), TWO_DAYS)
    dear = await estimate(here.store, Search(here.store, [whole]), TWO_DAYS)
    assert cheap.rows == dear.rows == 5000
    assert 5000 * 20 < cheap.bytes < 5000 * 100
    assert 5000 * 500 < dear.bytes < 5000 * 600
    assert cheap.seconds > 0
    assert dear.seconds > 0


async def test_a_rule_the_engine_refuses_is_left_out_alone(here: Ground) -> None:
    here.rules(
        *(rule(n, f"{{s: {{url|contains: word{n}}}, condition: s}}") for n in range(10)), rule(20, "{s: {url|re: '(?<=a)b'}, condition: s}")
    )
    await here.put(events([{"url": f"/word{n}"} for n in range(10)]))
    hunt_id = here.ask(*range(10), 20)
    await here.run()
    done = here.hunt(hunt_id)
    assert (done.state, done.problems.keys()) == (State.DONE, {rule_id(20)})
    assert len(await here.detections()) == 10
    alone = here.ask(20)
    await here.run()
    assert (here.hunt(alone).state, here.hunt(alone).problem) == (State.FAILED, "no rule could be judged")


async def test_a_hunt_whose_rule_changed_meanwhile_ends_with_the_reason(here: Ground) -> None:
    here.rules(rule(1, "{s: {url: /bad}, condition: s}"))
    hunt_id = here.ask(1)
    here.rules(rule(1, "{s: {url: /worse}, condition: s}"))
    await here.run()
    assert here.hunt(hunt_id).state == State.FAILED
    assert "rule 1" in here.hunt(hunt_id).problem


async def test_pasted_rules_need_no_id(here: Ground) -> None:
    await here.put(events([{"url": "/bad"}, {"url": "/good"}]))
    hunt_id = here.ask(text="logsource: {category: web}\ndetection: {s: {url: /bad}, condition: s}\n")
    await here.run()
    (found,) = await here.detections()
    assert found["rule_id"] == f"pasted-{found['rule_hash']}"
    assert here.hunt(hunt_id).kept == {found["rule_id"]: 1}


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish(DAY_AGO, NOW, None, [rule_id(9)]), "no rule"),
        (Wish(DAY_AGO, NOW, None), "at least one"),
        (Wish(NOW, NOW, None, [rule_id(1)]), "before"),
        (Wish(DAY_AGO, NOW, None, [rule_id(1)], rule(1, "{s: {url: a}, condition: s}")), "twice"),
        (Wish(DAY_AGO, NOW, None, (), "detection: ["), "YAML"),
        (Wish(DAY_AGO, NOW, None, (), "x" * (300 << 10)), "KiB"),
    ],
)
def test_a_wish_that_cannot_be_met_is_explained(wish: Wish, reason: str) -> None:
    book = rules.parse(rule(1, "{s: {url: a}, condition: s}"), "r.yml")
    with pytest.raises((Invalid, NotFound), match=reason):
        requests.chosen(book, wish)


def test_rules_that_cannot_fire_are_refused() -> None:
    book = rules.parse(rule(1, "{s: {Image: a}, condition: s}"), "r.yml")
    with pytest.raises(Invalid, match="Image"):
        requests.compiled(book.rules)


times = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 500)), max_size=60).map(lambda some: sorted(dict(some).items()))


@given(times, st.integers(1, 2_000), st.integers(1, 2_000))
def test_slices_follow_one_another_and_hold_all_rows(found: list[tuple[int, int]], rows: int, first: int) -> None:
    density = Density(np.array([at for at, _ in found], np.int64), np.array([n for _, n in found], np.int64))
    made = slices.cut(density, from_millis(0), from_millis(10_001), rows, first)
    assert (made[0].start, made[-1].end) == (0, 10_001)
    assert [one.end for one in made[:-1]] == [one.start for one in made[1:]]
    assert all(one.start < one.end for one in made)
    for one, wanted in zip(made, [first, *(rows for _ in made[1:])], strict=True):
        assert one.rows == sum(n for at, n in found if one.start <= at < one.end)
        assert one.rows <= wanted + max((n for _, n in found), default=0)


async def test_large_stretches_are_cut_by_the_index(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    await here.put(events([{"agency": f"a{n % 3}"} for n in range(30_000)]))
    counted = await slices.density(here.store, TWO_DAYS)
    monkeypatch.setattr(slices, "FEWEST_BY_INDEX", 20_000)
    by_index = await slices.density(here.store, TWO_DAYS)
    assert counted.total == by_index.total == 30_000
    assert len(by_index.at) < len(counted.at)
    inside = Reach(DAY_AGO, NOW, frozenset({"a1"}))
    assert (await slices.density(here.store, inside)).total == 10_000


LOGIN = rule(60, "{s: {action: login failed}, condition: s}", "auth").replace("title: rule 60\n", "title: Failed\nname: failed\n")
ENTERED = rule(61, "{s: {action: login}, condition: s}", "auth").replace("title: rule 61\n", "title: Entered\nname: entered\n")
FORCE = (
    f"title: Brute force\nid: {rule_id(70)}\nname: force\nlevel: high\ncorrelation: "
    + json.dumps({"type": "event_count", "rules": ["failed"], "group-by": ["src_ip"], "timespan": "1m", "condition": {"gte": 3}})
    + "\n"
)
BROKEN_IN = f"title: Broken in\nid: {rule_id(71)}\ncorrelation: " + json.dumps(
    {"type": "temporal_ordered", "rules": ["force", "entered"], "group-by": ["src_ip"], "timespan": "5m"}
)


async def test_correlations_fire_in_history_as_they_do_over_the_events_at_hand(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "FEWEST_ROWS", 25)
    monkeypatch.setattr(plan, "MOST_ROWS", 25)
    monkeypatch.setattr(occurrences, "AT_ONCE", 4)
    here.rules(LOGIN, ENTERED, FORCE, BROKEN_IN)
    rows = events(
        [
            {
                "log_class": "auth",
                "action": "login" if n % 11 == 10 else "login failed" if n % 4 else "logout",
                "src_ip": f"203.0.113.{n % 3}",
                "agency": ("seogu", "parks")[n // 60 % 2],
                "received_at": millis(DAY_AGO) + 90_000_000 * (n % 2),
            }
            for n in range(240)
        ]
    )
    await here.put(rows)
    wanted = fires(here.book, rows, here.engine).to_pylist()
    assert {row["rule_id"] for row in wanted} == {rule_id(70), rule_id(71)}
    hunt_id = here.ask(70, 71, 61)
    await here.run()
    done = here.hunt(hunt_id)
    assert (done.state, done.rows_done, done.rows_total) == (State.DONE, 480, 480)
    found = [row for row in await here.detections() if row["kind"] == "correlation"]
    about = ("rule_id", "agency", "event_time", "details")
    assert sorted(tuple(row[name] for name in about) for row in found) == sorted(tuple(row[name] for name in about) for row in wanted)
    assert {(row["origin"], row["raw_epoch"]) for row in found} == {("hunt", f"hunt{hunt_id}")}
    assert all(row["action"] and row["raw"] for row in found), "it has the columns of the event that completed it"
    counts = {agency: one["count"] for agency, one in done.found[rule_id(70)].items()}
    assert counts == {agency: sum((row["rule_id"], row["agency"]) == (rule_id(70), agency) for row in wanted) for agency in counts}
    assert done.kept[rule_id(61)] == sum(row["action"] == "login" for row in rows.to_pylist())

    pasted = here.ask(text=f"{LOGIN}---\n{FORCE}\n", agencies=frozenset({"parks"}))
    await here.run()
    assert here.hunt(pasted).found.keys() == {rule_id(70)}, "the rule it is made of is silent"
    assert here.hunt(pasted).found[rule_id(70)].keys() == {"parks"}


FAILURES = [{"log_class": "auth", "action": "login failed", "src_ip": f"203.0.113.{n % 2}", "bytes": n} for n in range(40)]


async def test_a_correlation_of_too_many_matches_is_given_up_with_the_reason_and_no_other(
    here: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlations, "MOST_MATCHES", 20)
    median = {"type": "value_median", "rules": ["failed"], "timespan": "1m", "condition": {"field": "bytes", "gte": 1}}
    outer = {"type": "event_count", "rules": ["median"], "timespan": "1m", "condition": {"gte": 1}}
    texts = [
        f"title: {name}\nid: {rule_id(n)}\nname: {name}\ncorrelation: {json.dumps(text)}\n"
        for n, name, text in ((80, "median", median), (81, "outer", outer))
    ]
    here.rules(LOGIN, FORCE, *texts)
    rows = events(FAILURES)
    await here.put(rows)
    hunt_id = here.ask(70, 80, 81)
    await here.run()
    done = here.hunt(hunt_id)
    assert (done.state, done.problems.keys()) == (State.DONE, {rule_id(80), rule_id(81)})
    assert "within reach of its timespan" in done.problems[rule_id(80)]
    wanted = [row for row in fires(here.book, rows, here.engine).to_pylist() if row["rule_id"] == rule_id(70)]
    found = await here.detections()
    assert sorted((row["agency"], row["event_time"]) for row in found) == sorted((row["agency"], row["event_time"]) for row in wanted)
    assert len(wanted) == 2


async def test_a_hunt_of_correlations_is_cancelled_and_goes_on_after_a_restart(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "FEWEST_ROWS", 20)
    monkeypatch.setattr(plan, "MOST_ROWS", 20)
    here.rules(LOGIN, FORCE)
    await here.put(rows := events(FAILURES * 5))
    cancelled = here.ask(70)
    here.clock.advance(timedelta(seconds=1))
    kept = here.ask(70)
    hunting = here.runner()
    for _ in range(3):
        assert await hunting.step()
    with here.database.session() as session:
        requests.cancel(session, None, cancelled)
    while here.hunt(kept).slices_done < 4:
        assert await hunting.step()
    assert (here.hunt(cancelled).state, here.hunt(cancelled).slices_done) == (State.CANCELLED, 2)
    await here.run(here.runner())  # it has no memory of the four slices
    assert (here.hunt(kept).state, len(here.hunt(kept).slices)) == (State.DONE, 10)
    wanted = fires(here.book, rows, here.engine).to_pylist()
    found = [row for row in await here.detections() if row["raw_epoch"] == f"hunt{kept}"]
    assert sorted((row["event_time"], row["details"]) for row in found) == sorted((row["event_time"], row["details"]) for row in wanted)
    assert len(wanted) == 8


sizes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3_000)), max_size=40)


@given(sizes)
def test_messages_hold_all_rows_of_one_day_each_and_are_bounded(made: list[tuple[int, int]]) -> None:
    rows = events([{"received_at": millis(DAY_AGO) + 86_400_000 * day, "raw": "x" * size} for day, size in made])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "BYTES_A_MESSAGE", 8 << 10)
        parts = list(findings.portions(rows))
    together = [(row["raw_offset"], row["raw_line"]) for part in parts for row in part.to_pylist()]
    assert sorted(together) == sorted((row["raw_offset"], row["raw_line"]) for row in rows.to_pylist())
    for part in parts:
        assert len({at.date() for at in part["received_at"].to_pylist()}) == 1
        assert part.num_rows == 1 or sum(len(raw) + 1024 for raw in part["raw"].to_pylist()) <= (8 << 10) + 4_024


async def test_a_defect_in_one_hunt_does_not_stop_the_next(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    here.rules(rule(1, "{s: {url: /bad}, condition: s}"))
    await here.put(events([{"url": "/bad"}]))
    first, second = here.ask(1), here.ask(1)
    order = sorted((first, second))  # asked at the same instant
    run = runner.plan
    calls = 0

    async def fails_once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return await run(*arguments)

    def failed() -> float:
        return REGISTRY.get_sample_value("bongsu_failed_hunts_total", {"kind": "hunt"}) or 0.0

    before = failed()
    monkeypatch.setattr(runner, "plan", fails_once)
    await here.run()
    assert failed() == before + 1
    assert [here.hunt(hunt_id).state for hunt_id in order] == [State.FAILED, State.DONE]
    assert "defect" in here.hunt(order[0]).problem
