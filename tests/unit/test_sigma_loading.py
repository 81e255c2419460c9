"""Rules from files: errors stay with their rule, and what a rule means is read right."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect import rules
from detect.compiled import compile_rule
from detect.fields import EventFields
from detect.tree import AllOf, AnyOf, Item, Negation, Node, Pattern, Regex, Wild

ID = "9d2f3c1a-6a0e-4d9b-8a37-0b8f0f6f0001"


def rule(identifier: str = ID, detection: str = "{sel: {url: a}, condition: sel}", more: str = "") -> str:
    return f"title: T\nid: {identifier}\nlogsource: {{category: firewall}}\ndetection: {detection}\n{more}"


def tree(detection: str) -> Node:
    book = rules.parse(rule(detection=detection), "r.yml")
    assert not book.set_aside
    return book.rules[0].tree


def test_one_bad_document_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "many.yaml").write_text(
        "\n\n".join(
            (
                rule(),
                f"---\n{rule(ID[:-1] + '2', '{sel: {url|nosuch: a}, condition: sel}')}",
                "---\ntitle: [unclosed\nid: x",
                f"---\n{rule(ID[:-1] + '3')}",
            )
        )
    )
    (tmp_path / "a.samples.yml").write_text("match: []")
    (tmp_path / "latin.yml").write_bytes(b"title: \xff\xfe")
    (tmp_path / "notes.txt").write_text("not a rule")
    book = rules.load([tmp_path, tmp_path / "missing"])
    assert [r.id for r in book.rules] == [ID, ID[:-1] + "3"]
    reasons = {(Path(e.file).name, e.line): e.reason for e in book.set_aside}
    assert set(reasons) == {("latin.yml", 0), ("many.yaml", 8), ("many.yaml", 16), ("missing", 0)}
    assert "nosuch" in reasons["many.yaml", 8]
    assert book.rules[1].line == 19


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b", "a YAML map"),
        ("just text", "a YAML map"),
        (rule(detection="{sel: {url: a}}"), "condition"),
        (rule(detection="{sel: {url: a}, condition: other}"), "'other'"),
        (rule(detection="{sel: {url: a}, condition: sel | count() > 5}"), "correlation"),
        (rule(detection="{sel: {url: a}, timeframe: 5m, condition: sel}"), "timeframe"),
        (rule(detection="{sel: {url: a}, condition: 1 of nothing*}"), "fits nothing"),
        (rule(detection="{sel: {url: a}, condition: (sel}"), "not closed"),
        (rule(detection="{sel: {url: a}, condition: sel and}"), "name is missing"),
        (rule(detection="{sel: {url: a}, condition: sel sel}"), "unexpected"),
        (rule(detection="{sel: {url: a, url: b}, condition: sel}"), "Duplicate key"),
        (rule(detection="{sel: {src_ip|cidr: 10.0.0.1/8}, condition: sel}"), "host bits"),
        (rule(detection="{sel: {url|re: '('}, condition: sel}"), "invalid"),
        (rule(detection="{sel: {url|re: 5}, condition: sel}"), "in quotes"),
        (rule(detection="{sel: {url|windash: '------'}, condition: sel}"), "more than 5 dashes"),
        (rule(detection="{sel: {url|hour|contains: 5}, condition: sel}"), "part of a time"),
        (rule(detection="{sel: {url|base64: 'a*'}, condition: sel}"), "Base64"),
        (rule(detection="{sel: {user|expand: '%admins%'}, condition: sel}"), "%admins%"),
        (rule(detection="{sel: {}, condition: sel}"), "empty"),
        (rule(identifier="no-uuid"), "UUID"),
        (rule(more="level: dreadful"), "level"),
        ("title: T\nlogsource: {category: firewall}\ndetection: {sel: {url: a}, condition: sel}", "no id"),
        (f"title: C\nid: {ID}\ncorrelation: {{type: event_count}}", "correlation"),
        (rule() + "action: repeat", "repeat"),
    ],
)
def test_what_is_wrong_is_set_aside_with_its_reason(text: str, reason: str) -> None:
    book = rules.parse(text, "r.yml")
    assert book.rules == ()
    assert len(book.set_aside) == 1
    assert reason.lower() in book.set_aside[0].reason.lower()
    assert book.set_aside[0].line == 1 or "key" in book.set_aside[0].reason


def test_a_second_rule_of_the_same_id_is_refused() -> None:
    book = rules.parse(f"{rule()}---\n{rule(detection='{sel: {url: b}, condition: sel}')}", "r.yml")
    assert len(book.rules) == 1
    assert "already" in book.set_aside[0].reason


def test_disabled_rules_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(rule())
    assert rules.load([tmp_path], disabled=[ID]) == rules.RuleBook(())


def test_the_hash_follows_the_meaning_not_the_spelling() -> None:
    def of(text: str) -> str:
        return rules.parse(text, "r.yml").rules[0].hash

    plain = rule()
    assert of(plain) == of("# a remark\n" + plain.replace("{sel: {url: a}, condition: sel}", "\n  condition: sel\n  sel:\n    url: 'a'"))
    assert of(plain) != of(plain.replace("url: a", "url: b"))
    head = f"---\ntitle: F\nid: {ID[:-1]}9\nlogsource: {{category: firewall}}\n"
    filtered = f"{plain}{head}filter: {{rules: any, ok: {{user: x}}, condition: not ok}}"
    assert of(plain) != of(filtered)


def test_a_filter_reaches_the_rules_it_names_and_covers() -> None:
    other = rule(ID[:-1] + "2").replace("firewall", "dns")
    text = f"{rule()}---\n{other}---\ntitle: F\nid: {ID[:-1]}9\nlogsource: {{category: firewall}}\n"
    book = rules.parse(text + "filter: {rules: any, ok: {user: x}, condition: not ok}", "r.yml")
    wanted = AllOf((Item("url", Pattern(("a",))), Negation(Item("user", Pattern(("x",))))))
    assert [r.tree for r in book.rules] == [wanted, Item("url", Pattern(("a",)))]
    named = rules.parse(text + f"filter: {{rules: [{ID[:-1]}7], ok: {{user: x}}, condition: not ok}}", "r.yml")
    assert "fits no rule" in named.set_aside[0].reason


def test_names_are_whole_words() -> None:
    node = tree("{not_admin: {url: a}, sel-one: {url: b}, _hidden: {url: c}, condition: not_admin or 1 of sel-*}")
    assert node == AnyOf((Item("url", Pattern(("a",))), Item("url", Pattern(("b",)))))
    assert tree("{sel: {url: a}, _hidden: {url: c}, condition: all of them}") == Item("url", Pattern(("a",)))


def test_not_binds_before_and_before_or() -> None:
    a, b, c = (Item("url", Pattern((x,))) for x in "abc")
    node = tree("{a: {url: a}, b: {url: b}, c: {url: c}, condition: a or not b and c}")
    assert node == AnyOf((a, AllOf((Negation(b), c))))


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (r"a\*b", ("a*b",)),
        (r"a\\*b", ("a\\", Wild.MANY, "b")),
        (r"a\b?", ("a\\b", Wild.ONE)),
        (r"**", (Wild.MANY,)),
        ("", ()),
    ],
)
def test_wildcards_and_their_escapes(value: str, parts: tuple[str | Wild, ...]) -> None:
    assert tree(f"{{sel: {{url: '{value}'}}, condition: sel}}") == Item("url", Pattern(parts))


@pytest.mark.parametrize(
    ("modifiers", "value", "encoded"),
    [
        ("wide", "a", [b"a\0"]),
        ("utf16le", "가", [b"\x00\xac"]),
        ("utf16be", "a", [b"\0a"]),
        ("utf16", "a", [b"\xff\xfea\0"]),
        ("base64", r"a\*", [b"YSo="]),
        ("wide|base64", "é", [b"6QA="]),
        ("base64offset", "ab", [b"YW", b"Fi", b"hY"]),
        ("base64offset", "가", [b"6rCA", b"qwg", b"qsI"]),
    ],
)
def test_encodings_are_of_bytes(modifiers: str, value: str, encoded: list[bytes]) -> None:
    node = tree(f"{{sel: {{url|{modifiers}: '{value}'}}, condition: sel}}")
    items = node.nodes if isinstance(node, AnyOf) else (node,)
    got = [
        "".join(part for part in item.test.parts if isinstance(part, str)).encode("utf-8", "surrogateescape")
        for item in items
        if isinstance(item, Item) and isinstance(item.test, Pattern)
    ]
    assert got == encoded


def test_expand_takes_the_values_given() -> None:
    text = rule(detection="{sel: {user|expand: 'x-%who%'}, condition: sel}")
    book = rules.parse(text, "r.yml", {"who": ["a", "b"]})
    assert book.rules[0].tree == AnyOf((Item("user", Pattern(("x-a",))), Item("user", Pattern(("x-b",)))))


def test_case_is_kept_through_windash_and_flags_through_re() -> None:
    node = tree("{sel: {user|windash|cased: '-x'}, condition: sel}")
    assert isinstance(node, AnyOf)
    assert {item.test for item in node.nodes if isinstance(item, Item)} == {Pattern((f"{dash}x",), cased=True) for dash in "-/–—―"}
    assert tree("{sel: {user|re|i|s: 'a.b'}, condition: sel}") == Item("user", Regex("a.b", "is"))


def test_the_rule_in_the_docs_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "adding-a-rule.md").read_text("utf-8")
    book = rules.parse(text.split("```yaml\n")[1].split("```")[0], "docs")
    assert book.set_aside == ()
    assert book.rules[0].custom["custom"]["title_ko"]
    compiled = compile_rule(book.rules[0], EventFields())
    assert compiled.columns == {"disposition", "dst_port", "src_ip"}
