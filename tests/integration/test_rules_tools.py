"""What the commands about rules are made of: explaining, checking, converting, and saying which rules can fire."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine import Engine, Session
from detect import convert, coverage, explain, lint, needs, rules
from detect.compile import expression
from detect.compiled import compile_rule
from detect.explain import Part
from detect.fields import EventFields, Field
from detect.needs import Delivered
from detect.published import Snapshot, describe
from detect.rules import OWN_RULES
from detect.ruleset import SETTINGS, compile_rules
from detect.tree import AllOf, AnyOf, Exists, Item, Negation, Node, Null, Number, Pattern, Reference, Wild
from tests.event_rows import table

ONE = "00000000-0000-4000-8000-000000000001"
RULE = f"""title: Union select
id: {ONE}
level: high
tags: [attack.initial-access, attack.t1190]
logsource: {{category: web, product: nginx}}
detection:
    selection: {{url|contains: union, http_status: [200, 301]}}
    keys: [sqlmap]
    filter_office: {{src_ip|cidr: 10.0.0.0/8}}
    condition: (selection or keys) and not filter_office
falsepositives: [a scanner of ours]
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = Engine()
    session = engine.session(SETTINGS)
    yield session
    session.close()
    engine.close()


@pytest.fixture
def rule(tmp_path: Path) -> rules.Rule:
    return loaded(tmp_path, RULE)


def loaded(folder: Path, text: str) -> rules.Rule:
    file = folder / "union_select_asked_for.yml"
    file.write_text(text, encoding="utf-8")
    (found,) = rules.load([file]).rules
    return found


def event(**columns: Any) -> pa.Table:
    given_: dict[str, Any] = {"log_class": "web", "product": "Nginx", "raw": "GET /?q=UNION", "url": "/?q=UNION", "http_status": 200}
    return table([given_ | {"src_ip": "192.0.2.7"} | columns])


def named(part: Part) -> dict[str, bool]:
    """Every named part with what became of it."""
    own = {part.name: part.holds} if part.name else {}
    return own | {name: held for inner in part.parts for name, held in named(inner).items()}


def leaves(part: Part) -> list[tuple[str, bool, str | None]]:
    return [(part.what, part.holds, part.value)] if not part.parts else [leaf for inner in part.parts for leaf in leaves(inner)]


# ---- explain ----


def test_every_part_is_named_and_judged_with_the_value_that_decided(session: Session, rule: rules.Rule) -> None:
    told = explain.of_event(session, rule, event())
    assert named(told) == {
        "Union select": True,
        "log source: category web, product nginx": True,
        "selection": True,
        "keys": False,
        "filter_office": False,
    }
    assert leaves(told) == [
        ("log_class is web", True, "web"),
        ("product is nginx", True, "Nginx"),
        ("url contains 'union'", True, "/?q=UNION"),
        ("http_status is 200", True, "200"),
        ("http_status is 301", False, "200"),
        ("the line contains 'sqlmap'", False, "GET /?q=UNION"),
        ("src_ip is within 10.0.0.0/8", False, "192.0.2.7"),
    ]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"src_ip": "10.1.2.3"}, "filter_office"),
        ({"http_status": 404}, "selection"),
        ({"log_class": "proxy"}, "log source: category web, product nginx"),
        ({"product": "Apache"}, "log source: category web, product nginx"),
    ],
)
def test_what_kept_a_rule_from_matching_is_told(session: Session, rule: rules.Rule, columns: dict[str, Any], why: str) -> None:
    told = explain.of_event(session, rule, event(**columns))
    assert not told.holds
    assert named(told)[why] is (why == "filter_office")
    assert told.holds == bool(len(compile_rules([rule], session).run(session, event(**columns)).rows))


def test_an_object_is_explained_by_its_own_names(session: Session, tmp_path: Path) -> None:
    one = loaded(tmp_path, f"title: T\nid: {ONE}\nlogsource: {{category: web}}\ndetection: {{s: {{a.b: x, c: null}}, condition: s}}\n")
    told = explain.of_object(session, one, {"a": [{"b": "y"}, {"b": "X"}], "c": "set"})
    assert (told.holds, leaves(told)) == (False, [("a.b is 'x'", True, "y, X"), ("c is absent", False, "set")])


def test_filters_of_other_files_are_part_of_a_rule_and_named(session: Session, tmp_path: Path, rule: rules.Rule) -> None:
    assert not rule.filters
    source = "logsource: {category: web}\n"
    laid = f"filter: {{rules: [{ONE}], s: {{src_ip: 192.0.2.7}}, condition: not s}}\n"
    office = f"title: Their scanner\nid: {ONE[:-1]}9\n{source}{laid}"
    (tmp_path / "filters").mkdir()
    (tmp_path / "filters" / "office.yml").write_text(office, encoding="utf-8")
    other = "title: T\nid: not a uuid\ndetection: {filter_a: {url: a}, condition: filter_a}\n"
    (tmp_path / "filters" / "broken.yml").write_text(other, encoding="utf-8")
    book = rules.load_file(Path(rule.file), [tmp_path])
    (filtered,) = book.rules
    assert (book.set_aside, filtered.id) == ((), ONE)
    told = explain.of_event(session, filtered, event())
    assert named(told) | {"filter: Their scanner": False} == named(told)
    assert (told.holds, explain.of_event(session, filtered, event(src_ip="192.0.2.8")).holds) == (False, True)


def test_a_field_we_do_not_have_is_said_to_be_none_of_ours(session: Session, tmp_path: Path) -> None:
    text = f"title: T\nid: {ONE}\nlogsource: {{category: web}}\ndetection: {{s: {{Image: x}}, t: {{c-uri: /a}}, condition: s or t}}\n"
    told = explain.of_event(session, loaded(tmp_path, text), event(url="/a"))
    image, uri = told.parts[1].parts
    assert (image.holds, image.value, image.remark) == (False, None, "no event of ours has this field")
    assert (uri.holds, uri.value, uri.remark) == (True, "/a", "our column url")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("url|startswith: /a", "begins with '/a'"),
        ("url|endswith: a", "ends with 'a'"),
        ("url: a*b?c", "is like 'a*b?c'"),
        ("url|cased: A", "is 'A' (letter case counts)"),
        ("url|re|i: a+", "fits the regular expression 'a+' with i"),
        ("dst_port|gte: 5", ">= 5"),
        ("url|exists: true", "is there"),
        ("url|fieldref: domain", "is the field domain"),
        ("event_time|hour: 5", "hour = 5"),
    ],
)
def test_tests_are_said_in_words(session: Session, tmp_path: Path, item: str, words: str) -> None:
    name = item.partition(":")[0].partition("|")[0]
    one = loaded(tmp_path, f"title: T\nid: {ONE}\nlogsource: {{category: web}}\ndetection:\n  s:\n    {item}\n  condition: s\n")
    assert leaves(explain.of_event(session, one, event()))[1][0] == f"{name} {words}"


# ---- check and convert ----


def test_a_rule_without_care_is_warned_of(tmp_path: Path) -> None:
    careless = loaded(
        tmp_path,
        f"title: T\nid: {ONE}\nlogsource: {{category: web}}\ndetection: {{s: {{url: '*union*'}}, t: {{Image: x}}, condition: s or t}}\n",
    )
    found = [one.reason for one in lint.warnings([Path(careless.file)], [compile_rule(careless, EventFields())])]
    for words in ("no tag of ATT&CK", "no falsepositives", "no level", "no samples", "no event of ours has the fields Image", "pySigma"):
        assert any(words in reason for reason in found), (words, found)
    assert any("modified with contains modifier" in reason and "of the field url" in reason for reason in found)


def test_a_careful_rule_is_not(tmp_path: Path, rule: rules.Rule) -> None:
    Path(rule.file).with_suffix(".samples.yml").write_text("match: []\n", encoding="utf-8")
    assert list(lint.warnings([Path(rule.file)], [compile_rule(rule, EventFields())])) == []


def test_what_a_rule_becomes_finds_the_events_it_matches(session: Session, rule: rules.Rule) -> None:
    compiled = compile_rule(rule, EventFields())
    found = convert.converted(compiled)
    assert found.columns == ("http_status", "product", "raw", "src_ip", "url")
    assert found.classes == ("web",)
    assert "log_class IN ('web')" in found.hunt
    rows = pa.concat_tables([event(), event(src_ip="10.0.0.1"), event(log_class="proxy"), event(raw="sqlmap", http_status=404)])
    rows = rows.append_column("place", pa.array(range(rows.num_rows)))
    columns = "* REPLACE (CAST(src_ip, 'Nullable(IPv6)') AS src_ip)"
    events = f"(SELECT {columns} FROM Python(rows))"
    sql = found.hunt.replace("FROM events", f"FROM {events}").replace("SELECT event_time", "SELECT place, event_time")
    bounds = {"since": "1970-01-01 00:00:00", "until": "2100-01-01 00:00:00"}
    assert sorted(session.arrow(sql, rows, bounds).column("place").to_pylist()) == [0, 3]


def test_sigma_cli_finds_nothing_wrong_with_our_rules(tmp_path: Path) -> None:
    """As CI runs it. The validators of ATT&CK and D3FEND tags fetch their lists from the internet, which a build may not have."""
    corpus = tmp_path / "sigma_rules"
    shutil.copytree(OWN_RULES, corpus, ignore=shutil.ignore_patterns("*.samples.yml", "dictionaries", "*.py", "__pycache__"))
    excluded = [word for name in sorted(lint.NEED_INTERNET) for word in ("--exclude", name)]
    sigma = Path(sys.executable).with_name("sigma")
    done = subprocess.run([sigma, "check", "--fail-on-issues", *excluded, corpus], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "Found 0 errors, 0 condition errors and 0 issues." in done.stdout
    assert len(list(corpus.rglob("*.yml"))) >= 160


# ---- needs ----


class _Filled(EventFields):
    """The fields of events in which only some columns are ever filled."""

    def __init__(self, filled: frozenset[str]) -> None:
        super().__init__()
        self._filled = filled

    def field(self, name: str) -> Field | None:
        found = super().field(name)
        return found if found and found.column in self._filled else None


COLUMNS = ("url", "user", "dst_port", "src_ip")


def items() -> st.SearchStrategy[Node]:
    names = st.sampled_from((*COLUMNS, "Image"))
    wanted: st.SearchStrategy[Any] = st.sampled_from([Null(), Exists(True), Exists(False), Pattern(("x", Wild.MANY)), Number(5)])
    texts = st.sampled_from(("url", "user"))
    return st.builds(Item, names, wanted) | st.builds(lambda left, right: Item(left, Reference(right)), texts, texts)


def trees() -> st.SearchStrategy[Node]:
    def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.builds(AllOf, several) | st.builds(AnyOf, several)

    leaf = items() | items().map(Negation)
    return st.recursive(leaf, grown, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(tree=trees(), filled=st.frozensets(st.sampled_from(COLUMNS)))
def test_a_rule_is_said_not_to_fire_only_when_the_compiler_says_so_too(tree: Node, filled: frozenset[str]) -> None:
    """With the columns that are never filled taken away, the compiled expression is constantly false: no event can change it."""
    sets = needs.columns(tree, EventFields())
    if not any(one <= filled for one in sets):
        assert expression(tree, _Filled(filled)).constant is False


def test_needs_are_the_smallest_sets() -> None:
    def of(text: str) -> set[frozenset[str]]:
        (rule,) = rules.parse(f"title: T\nid: {ONE}\nlogsource: {{category: web}}\ndetection: {text}\n", "r.yml").rules
        return set(needs.columns(rule.tree, EventFields()))

    assert of("{s: {url: a, user: b}, condition: s}") == {frozenset({"url", "user"})}
    assert of("{s: [{url: a}, {url: b, user: c}, {dst_port: 5}], condition: s}") == {frozenset({"url"}), frozenset({"dst_port"})}
    assert of("{s: {url: a}, f: {user: b}, condition: s and not f}") == {frozenset({"url"})}
    assert of("{s: {url: a, user: null}, condition: s}") == {frozenset({"url"})}
    assert of("{s: {url: a}, f: {user: null}, condition: s and not f}") == {frozenset({"url", "user"})}
    assert of("{s: {url: a, Image: b}, condition: s}") == set()
    assert of("{s: [sqlmap], condition: s}") == {frozenset({"raw"})}


def test_the_nearest_miss_is_the_reason() -> None:
    (rule,) = rules.parse(RULE, "r.yml").rules
    wanted = needs.of_rule(rule, EventFields())
    assert needs.of_plain(wanted.plain()) == wanted
    nginx = Delivered("web", "", "Nginx", coverage.ALWAYS | {"url", "http_status"})
    assert wanted.missing([nginx]) == ""
    assert wanted.missing([]) == "no source of the class web"
    assert wanted.missing([Delivered("web", "", "IIS", coverage.ALWAYS)]) == "no source that is nginx"
    without = needs.Needs(wanted.classes, (), (), frozenset({frozenset({"url", "user"}), frozenset({"url", "domain", "device"})}))
    assert without.missing([Delivered("web", "", "", coverage.ALWAYS | {"url"})]) == "never filled: user"


def test_correlations_need_their_rules_and_what_they_group_by() -> None:
    other = "00000000-0000-4000-8000-000000000002"
    text = RULE + "".join(
        f"---\ntitle: {kind}\nid: 00000000-0000-4000-8000-00000000000{place}\n"
        f"correlation: {{type: {kind}, rules: [{ONE}, {other}], group-by: [user], timespan: 1h{condition}}}\n"
        for place, (kind, condition) in enumerate((("event_count", ", condition: {gte: 5}"), ("temporal", "")), 3)
    )
    text += f"---\ntitle: Other\nid: {other}\nlogsource: {{category: dns}}\ndetection: {{s: {{dns_query: a}}, condition: s}}\n"
    book = rules.parse(text, "r.yml")
    assert not book.set_aside
    states = describe(Snapshot(book.rules, book.correlations, ()))
    titles = {state.rule_id: state.title for state in states}
    filled = coverage.ALWAYS | {"url", "http_status", "user"}
    (at,) = coverage.at_agencies(states, {"gu": [Delivered("web", "", "nginx", filled)]})
    assert [titles[one] for one in at.can] == ["Union select", "event_count"], "one of its rules is enough to count"
    (at,) = coverage.at_agencies(states, {"gu": [Delivered("web", "", "nginx", filled - {"user"})]})
    assert [titles[one] for one in at.can] == ["Union select"]
    assert any("never filled: user" in because for because in at.cannot)
