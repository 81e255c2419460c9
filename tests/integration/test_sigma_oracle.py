"""The compiled expression and an independent reading of Sigma agree on 10,000 random pairs of rule and event, given as objects."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from core.engine import Engine
from detect.match import match_cases
from tests import sigma_oracle

EXAMPLES = 1500
EVENTS = 7
PLACEHOLDERS = {"who": ["ab", "B*"], "one": ["a"]}

Detection = dict[str, Any]

# Few letters, so that rules and events often meet; every one of them is there for something it could break.
LETTERS = "aAbB1.%_'\\*?-/–é가\n{}"
words = st.one_of(st.sampled_from(["a", "ab", "aB1", "-a", "a/b", "10", "1"]), st.text(LETTERS, max_size=4))
plain = st.sampled_from(["a", "ab", "é", "가", "bA"])
numbers = st.one_of(st.integers(-2, 12), st.sampled_from([1.5, 10.0, 0.5]))
addresses = st.sampled_from(
    ["10.0.0.1", "10.0.0.200", "192.168.1.1", "2001:db8::1", "2001:DB8:0::2", "::ffff:10.0.0.1", "::1", "10.0.0", "010.0.0.1"]
)
networks = st.sampled_from(
    ["10.0.0.0/8", "10.0.0.0/25", "10.0.0.1", "::/0", "0.0.0.0/0", "2001:db8::/32", "::ffff:10.0.0.0/104", "192.168.1.1/32"]
)
times = st.sampled_from(
    ["2024-01-01T00:00:00Z", "2024-12-30T23:05:00Z", "2023-01-01T10:10:10", "2024-02-29 01:02:03", "2024-01-10", 1704067200]
)
NAMES = ("a", "b", "n", "t", "ip", "o.x", "o.y.z", "o", "c-d e", "none")


def encodings(text: str) -> list[str]:
    """Texts in which `text` stands encoded, as an event may hold it."""
    wide = text.encode("utf-16-le")
    raw = [text.encode(), wide, text.encode("utf-16-be"), b"\xff\xfe" + wide]
    shifted = [b64encode(b"xyz"[:offset] + one + b"..."[:offset]).decode() for one in raw for offset in range(3)]
    return [*shifted, *(one.decode() for one in raw if not any(byte > 0x7F for byte in one))]


encoded = plain.flatmap(lambda text: st.sampled_from(encodings(text)))
scalars = st.one_of(words, numbers, st.booleans(), st.none(), addresses, times, encoded, st.just(""))
values = st.one_of(scalars, scalars, st.lists(st.one_of(scalars, st.lists(words, max_size=2)), max_size=3))
inner = st.one_of(
    st.fixed_dictionaries({}, optional={"x": values, "y": st.one_of(values, st.fixed_dictionaries({}, optional={"z": values}))}),
    values,
)
events = st.fixed_dictionaries(
    {},
    optional={
        "a": st.one_of(words, values),
        "b": st.one_of(words, values),
        "n": st.one_of(numbers, numbers.map(str), values),
        "t": st.one_of(times, values),
        "ip": st.one_of(addresses, st.lists(addresses, max_size=2)),
        "o": st.one_of(inner, st.lists(inner, max_size=2)),
        "o.x": words,
        "o.y": st.fixed_dictionaries({"z": words}),
        "c-d e": words,
    },
)


def some(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(value, value, st.lists(value, min_size=1, max_size=3))


TEXT_MODIFIERS = (
    "",
    "|contains",
    "|startswith",
    "|endswith",
    "|cased",
    "|contains|cased",
    "|windash",
    "|windash|contains",
    "|cased|endswith",
)
ENCODING_MODIFIERS = ("wide", "utf16le", "utf16be", "utf16", "base64", "wide|base64", "utf16be|base64offset", "utf16|base64")
PATTERNS = ("a.b", "^a", "[aA]+$", "a|1", "b*", r"\.", "^1.*1$", "^$", "é", "[^a]", "(ab)+", "a{1,2}", r"a\*", r"\\")


def keyed(names: tuple[str, ...], modifiers: Any, value: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    key = st.builds(lambda name, modifier: f"{name}{modifier}", st.sampled_from(names), st.sampled_from(modifiers))
    return st.tuples(key, value)


TEXTS = ("a", "b", "o.x", "o.y.z", "c-d e", "n", "ip")
items = st.one_of(
    keyed(TEXTS, TEXT_MODIFIERS, some(words)),
    keyed(TEXTS, TEXT_MODIFIERS, some(words)),
    keyed(TEXTS, ("|all", "|contains|all", "|startswith|all", "|neq", "|contains|neq"), st.lists(words, min_size=1, max_size=3)),
    keyed(("a", "n", "o.x"), ("", "|contains", "|startswith", "|cased", "|neq"), some(numbers)),
    keyed(("a", "n", "o.x"), ("",), some(st.one_of(st.booleans(), words, numbers))),
    keyed(
        ("a", "b", "o.x"),
        [f"|{encoding}{way}" for encoding in ENCODING_MODIFIERS for way in ("", "|contains", "|cased|contains")],
        some(plain),
    ),
    keyed(("a", "b"), ("|base64offset", "|base64offset|contains"), some(plain.filter(lambda text: len(text.encode()) > 1))),
    keyed(TEXTS, ("|re", "|re|i", "|re|s", "|re|i|m", "|re|m|s", "|re|neq"), some(st.sampled_from(PATTERNS))),
    keyed(("n", "a", "o.x"), ("|lt", "|lte", "|gt", "|gte"), some(numbers)),
    keyed(("ip", "a"), ("|cidr", "|cidr|neq"), some(networks)),
    keyed(("ip",), ("", "|startswith"), some(addresses)),
    keyed(
        ("t", "a"),
        ("|minute", "|hour", "|day", "|week", "|month", "|year", "|hour|gte", "|day|lt"),
        some(st.sampled_from([0, 1, 2, 5, 10, 2024])),
    ),
    keyed(NAMES, ("|exists",), st.booleans()),
    keyed(NAMES, ("",), st.sampled_from([None, "", "*", "?"])),
    keyed(
        ("a", "b", "o.x"),
        (
            "|fieldref",
            "|fieldref|contains",
            "|fieldref|startswith",
            "|fieldref|endswith",
            "|cased|fieldref|endswith",
            "|fieldref|neq",
            "|cased|fieldref",
        ),
        st.sampled_from(["a", "b", "n", "o.x", "none"]),
    ),
    keyed(
        ("a", "b"),
        ("|expand", "|expand|contains", "|contains|expand"),
        some(st.sampled_from(["%who%", "x%one%", "%one%b", r"\%%one%", "%"])),
    ),
)
maps = st.lists(items, min_size=1, max_size=3).map(dict)
keywords = st.one_of(words.filter(bool), st.integers(0, 12), st.booleans())
searches = st.one_of(
    maps,
    maps,
    maps,
    st.lists(maps, min_size=1, max_size=3),
    st.lists(keywords, min_size=1, max_size=3),
    st.lists(st.one_of(keywords, maps), min_size=1, max_size=3),
    st.lists(words.filter(bool), min_size=1, max_size=3).map(lambda found: {"|all": found}),
    st.sampled_from(PATTERNS).map(lambda pattern: {"|re": pattern}),
    words.filter(bool).map(lambda word: {"|cased": word}),
)
SEARCHES = ("sel_a", "sel_b", "not_me", "_hidden")
names = st.sampled_from(SEARCHES)
quantified = st.sampled_from(["1 of sel_*", "all of sel_*", "1 of them", "all of them", "any of *", "all of *_a", "1 of s*_*"])
conditions = st.recursive(
    st.one_of(names, names, quantified),
    lambda part: st.one_of(
        part.map(lambda one: f"not {one}" if " " not in one else f"not ({one})"),
        st.builds(lambda left, word, right: f"{left} {word} {right}", part, st.sampled_from(["and", "or", "AND"]), part),
        part.map(lambda one: f"({one})"),
    ),
    max_leaves=5,
)
single = items.map(lambda item: {"s": dict([item]), "condition": "s"})
several = st.builds(
    lambda bodies, condition: {**bodies, "condition": condition},
    st.fixed_dictionaries(dict.fromkeys(SEARCHES, searches)),
    st.one_of(st.just("sel_a"), names, conditions, st.lists(conditions, min_size=1, max_size=2)),
)
detections = st.one_of(single, several)
filters = st.builds(
    lambda body, condition: {"title": "F", "filter": {"rules": "any", "ok": body, "condition": condition}},
    searches,
    st.sampled_from(["ok", "not ok", "not 1 of them"]),
)


def rows_for(rule: Detection, over: list[Detection]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Events of which many nearly match the rule."""
    bait = st.sampled_from([{}, *baits(rule, over)])
    return st.lists(events, min_size=1, max_size=4).flatmap(
        lambda some: st.lists(
            st.builds(lambda event, one, other: {**event, **one, **other}, st.sampled_from(some), bait, bait),
            min_size=EVENTS,
            max_size=EVENTS,
        )
    )


judgements = st.tuples(
    detections.map(lambda detection: {"title": "R", "logsource": {"category": "test"}, "detection": detection}),
    st.one_of(st.just([]), st.lists(filters, max_size=2)),
).flatmap(lambda texts: st.tuples(st.just(texts[0]), st.just(texts[1]), rows_for(*texts)))


def baits(rule: Detection, over: list[Detection]) -> list[dict[str, Any]]:
    """Events with one field that comes near to what an item of the rule asks for."""
    found: list[dict[str, Any]] = []
    for body in (*(body for name, body in rule["detection"].items() if name != "condition"), *(one["filter"]["ok"] for one in over)):
        for element in body if isinstance(body, list) else [body]:
            for key, value in element.items() if isinstance(element, dict) else [("", element)]:
                field = key.split("|")[0]
                for one in value if isinstance(value, list) else [value]:
                    if "fieldref" in key:
                        found += [_at(field, f"{left}aB{right}") | _at(one, "aB") for left in ("", "x") for right in ("", "y")]
                        found += [_at(field, "aB") | _at(one, "Ab")]
                    found += [_at(field or "b", text) for text in near(key, one)]
    return found


def _at(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


CODECS = {"utf16be": "utf-16-be", "utf16": "utf-16-le", "wide": "utf-16-le"}


def near(key: str, value: Any) -> list[Any]:
    """Values like `value`: itself, in other case, within others, encoded, with other dashes, with something for its wildcards."""
    if not isinstance(value, str):
        return [value, f"x{value}", f"{value}x"]
    if any(word in key for word in ENCODING_MODIFIERS):
        codec = next((codec for word, codec in CODECS.items() if word in key), "utf-8")
        raw = b"\xff\xfe" * ("utf16|" in key) + value.encode(codec)
        if "base64" in key:
            return [b64encode(b"xyz"[:offset] + raw + b"..."[:after]).decode() for offset in range(3) for after in range(2)]
        return [raw.decode("utf-8", "replace"), value]
    filled = value.replace("*", "xy").replace("?", "z").replace("\\", "")
    dashed = [value.replace("-", dash).replace("/", dash) for dash in sigma_oracle.DASHES] if "windash" in key else []
    return [value, value.swapcase(), filled, f"{filled}x", f"x{filled}", value.replace("%who%", "ab").replace("%one%", "a"), *dashed]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def written(rule: Detection, over: list[Detection]) -> str:
    return "---\n".join(yaml.safe_dump(document, allow_unicode=True, sort_keys=False) for document in [rule, *over])


def test_ten_thousand_pairs_are_judged_alike(engine: Engine) -> None:
    judged = {True: 0, False: 0}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(judgements)
    def agree(judgement: tuple[Detection, list[Detection], list[dict[str, Any]]]) -> None:
        rule, over, rows = judgement
        text = written(rule, over)
        results = match_cases(engine, [{"rule_yaml": text, "event": row, "placeholders": PLACEHOLDERS} for row in rows])
        for row, result in zip(rows, results, strict=True):
            wanted = sigma_oracle.matches(rule, row, filters=over, placeholders=PLACEHOLDERS)
            if result.get("match") is not wanted:
                note(f"the specification says {wanted}, the compiler {result}, of the event {row!r} and the rule\n{text}")
            assert result.get("match") is wanted
            judged[wanted] += 1

    agree()
    assert sum(judged.values()) >= 10_000
    assert min(judged.values()) > sum(judged.values()) / 5, "the pairs hardly ever meet, or always"
