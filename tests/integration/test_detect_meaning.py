"""The compiled expression and an independent reading of Sigma agree on random rules and rows of the table of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.engine import Engine, Session
from detect import rules
from detect.literals import string
from detect.ruleset import SETTINGS, compile_rules
from tests import sigma_oracle
from tests.event_rows import table

LETTERS = "aAbB1.%_'\\*?가é\n{} "
TEXT_FIELDS = ("url", "user", "action", "raw")
NUMBER_FIELDS = ("dst_port", "bytes_src")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "192.168.1.1", "2001:db8::1", "::1")

words = st.text(LETTERS, min_size=1, max_size=4)
event_text = st.one_of(st.just(""), st.text(LETTERS, max_size=8))
numbers = st.integers(0, 12)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = Engine()
    session = engine.session({**SETTINGS, "max_threads": 1})
    yield session
    session.close()
    engine.close()


@st.composite
def items(draw: st.DrawFn) -> tuple[str, Any]:
    kind = draw(st.sampled_from(["text", "text", "text", "number", "address", "special"]))
    if kind == "text":
        field = draw(st.sampled_from(TEXT_FIELDS))
        modifiers = draw(
            st.sampled_from(["", "|contains", "|startswith", "|endswith", "|cased", "|contains|cased", "|neq", "|re", "|re|i|s"])
        )
        value = st.sampled_from(["a.b", "^a", "[aA]+$", "a|b", "b*", "\\.", "^1.*1$"]) if "|re" in modifiers else words
        values = draw(st.one_of(value, st.lists(value, min_size=2, max_size=4)))
        return field + modifiers + ("|all" if isinstance(values, list) and draw(st.booleans()) else ""), values
    if kind == "number":
        modifiers = draw(st.sampled_from(["", "|lt", "|lte", "|gt", "|gte", "|neq"]))
        value = st.one_of(numbers, numbers.map(str)) if modifiers in ("", "|neq") else numbers
        return draw(st.sampled_from(NUMBER_FIELDS)) + modifiers, draw(st.one_of(value, st.lists(value, min_size=2, max_size=3)))
    if kind == "address":
        return draw(
            st.one_of(
                st.tuples(st.just("src_ip"), st.lists(st.sampled_from([*ADDRESSES, "10.*", "*1", "no address"]), min_size=1, max_size=3)),
                st.tuples(st.just("src_ip|cidr"), st.sampled_from(["10.0.0.0/8", "::/0", "0.0.0.0/0", "2001:db8::/32", "192.168.0.0/16"])),
                st.tuples(st.just("src_ip|startswith"), st.sampled_from(["10.", "192.168", "2001:"])),
            )
        )
    field = draw(st.sampled_from([*TEXT_FIELDS, *NUMBER_FIELDS, "src_ip", "no_such_field"]))
    return draw(
        st.sampled_from(
            [(field, None), (f"{field}|exists", True), (f"{field}|exists", False), (field, "*"), (field, "")]
            + [(f"url{m}", "user") for m in ("|fieldref", "|fieldref|contains", "|fieldref|startswith", "|cased|fieldref|endswith")]
        )
    )


searches = st.one_of(
    st.dictionaries(st.just(0), items(), min_size=1).map(lambda d: dict(d.values())),
    st.lists(items(), min_size=1, max_size=3).map(dict),
    st.lists(st.lists(items(), min_size=1, max_size=2).map(dict), min_size=1, max_size=3),
    st.lists(words, min_size=1, max_size=3),
)
CONDITIONS = ("sel_a", "not sel_a", "sel_a and not sel_b", "sel_a or sel_b", "1 of sel_*", "all of them", "not (sel_a or not sel_b)")
rule_bodies = st.builds(
    lambda a, b, condition: {"sel_a": a, "sel_b": b, "condition": condition}, searches, searches, st.sampled_from(CONDITIONS)
)
events = st.fixed_dictionaries(
    dict.fromkeys(TEXT_FIELDS, event_text)
    | dict.fromkeys(NUMBER_FIELDS, st.one_of(st.none(), numbers))
    | {"src_ip": st.one_of(st.none(), st.sampled_from(ADDRESSES))}
    | {"raw": st.text(LETTERS, min_size=1, max_size=8)}
)


@settings(
    max_examples=100,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(rule_bodies, min_size=1, max_size=8), st.lists(events, min_size=1, max_size=8))
def test_compiled_rules_agree_with_the_specification(session: Session, bodies: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    documents = [
        {"title": f"rule {i}", "id": f"00000000-0000-4000-8000-{i:012}", "logsource": {"category": "firewall"}, "detection": body}
        for i, body in enumerate(bodies)
    ]
    book = rules.parse("---\n".join(yaml.safe_dump(d, allow_unicode=True, sort_keys=False) for d in documents), "random.yml")
    assert len(book.rules) == len(documents), book.set_aside
    plan = compile_rules(book.rules, session)
    found = plan.run(session, table([{**row, "log_class": "firewall"} for row in rows]))
    got = {(plan.rules[rule].rule.title, row) for rule, row in zip(found.rules.tolist(), found.rows.tolist(), strict=True)}
    always = {rule.title for rule in book.rules for e in plan.set_aside if e.line == rule.line and "every event" in e.reason}
    assert all("every event" in e.reason or "never match" in e.reason for e in plan.set_aside), plan.set_aside
    wanted = {
        (document["title"], at)
        for document in documents
        for at, row in enumerate(rows)
        if sigma_oracle.matches(document, row, line=row["raw"], blank_is_absent=True)
    }
    assert got | {(title, at) for title in always for at in range(len(rows))} == wanted


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.binary(max_size=12)))
def test_a_literal_is_exactly_its_value(session: Session, value: str | bytes) -> None:
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    wanted = text.encode("utf-8", "surrogateescape")
    assert session.arrow(f"SELECT hex({string(text)}) AS v").column("v").to_pylist() == [wanted.hex().upper()]


@pytest.mark.parametrize("text", ["Python(rows)", "{name:String}", "'; SELECT 1 --", "\\", "\\'", "a\x00b", "{source}", "\x1b[0m"])
def test_a_literal_never_becomes_sql(session: Session, text: str) -> None:
    assert session.arrow(f"SELECT hex({string(text)}) AS v").column("v").to_pylist() == [text.encode().hex().upper()]
