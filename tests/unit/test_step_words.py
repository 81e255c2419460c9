"""Everything the Response pages name has its word: fields of every body and answer, states, steps, values; and every body has its form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.dashboard.response.kinds import KINDS
from api.dashboard.steps.document import Document
from api.dashboard.steps.fields import Field, Shape
from api.dashboard.steps.names import field_name, law_name, state_name, step_name, value_name
from api.dashboard.texts import Texts
from api.dashboard.words import WORDS
from core.clock import FixedClock
from respond.cases.machine import Machine
from respond.incidents.machine import MACHINE as INCIDENT
from respond.personal.machine import TRACKS
from tests.servers.api import running_centre, settings_for

MACHINES: tuple[Machine, ...] = (INCIDENT, *(kind.machine for kind in KINDS), *TRACKS.values())
KO, EN = Texts("ko"), Texts("en")
UNSHOWN = {"id", "entry", "actor", "data", "progress", "steps", "history", "clocks", "ko", "en"}
_openapi: list[Mapping[str, Any]] = []


@pytest.fixture
async def openapi(tmp_path: Path) -> Mapping[str, Any]:
    if not _openapi:
        async with running_centre(settings_for(tmp_path), FixedClock(datetime(2026, 5, 1, tzinfo=UTC))) as centre:
            _openapi.append(centre.app.openapi())
    return _openapi[0]


def of_all(fields: tuple[Field, ...]) -> Iterator[Field]:
    for one in fields:
        yield one
        yield from of_all(one.fields)
        if one.of is not None:
            yield from of_all((one.of,))


def has_word(kind: str, of: str, word: str) -> bool:
    return f"{of}.{word}" in WORDS[kind] or word in WORDS[kind]


async def test_every_step_has_a_form_whose_fields_and_values_have_words(openapi: Mapping[str, Any]) -> None:
    known = Document(openapi)
    assert {(machine.kind, one.action) for machine in MACHINES for one in machine.steps} <= set(known.steps())
    for machine in MACHINES:
        for one in machine.steps:
            operation = known.step(machine.kind, one.action)
            assert (operation.to, operation.needs_reason, operation.law) == (one.to, one.needs_reason, one.law)
            lacks_words(machine.kind, operation.fields)


async def test_every_creation_has_a_form_whose_fields_and_values_have_words(openapi: Mapping[str, Any]) -> None:
    known = Document(openapi)
    creations = [(kind.machine.kind, one.path) for kind in KINDS for one in kind.creations]
    assert len(creations) > 10
    for of, path in [*creations, ("delegation", "/v1/delegations"), ("delegation", "/v1/delegations/{delegation_id}/end")]:
        lacks_words(of, known.operation(path).fields)


def lacks_words(of: str, fields: tuple[Field, ...]) -> None:
    for field in of_all(fields):
        assert has_word("field", of, field.name), (of, field.name)
        if field.shape is Shape.CHOICE:
            for word in field.words:
                assert (field.name == "severity" and word in WORDS["severity"]) or has_word("value", field.name, word), (
                    of,
                    field.name,
                    word,
                )


async def test_every_field_of_every_answer_has_a_word(openapi: Mapping[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]

    def names(schema: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[str]:
        for ref in [part["$ref"] for part in (schema, *schema.get("anyOf", ()), schema.get("items", {})) if "$ref" in part]:
            if ref not in seen:
                yield from names(schemas[ref.rpartition("/")[2]], seen | {ref})
        for name, part in schema.get("properties", {}).items():
            yield name
            if name not in UNSHOWN:
                yield from names(part, seen)

    for kind in KINDS:
        answer = openapi["paths"][f"{kind.path}/{{number}}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        shown = set(names(answer)) - UNSHOWN
        assert len(shown) > 8
        assert {name for name in shown if not has_word("field", kind.machine.kind, name)} == set(), kind.name


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.kind)
def test_every_state_and_step_has_a_word_in_both_languages(machine: Machine) -> None:
    for state in machine.states:
        assert machine is INCIDENT or has_word("case_state", machine.kind, state), state
        assert state_name(KO, machine.kind, state) != state_name(EN, machine.kind, state)
    for one in (*(step.action for step in machine.steps), "open"):
        assert has_word("step", machine.kind, one), one
        assert step_name(KO, machine.kind, one) != step_name(EN, machine.kind, one)


def test_a_kind_may_call_things_its_own_way() -> None:
    assert (step_name(EN, "report", "receive"), step_name(EN, "request", "receive")) == ("Receive", "Confirm receipt")
    assert (field_name(EN, "report", "type"), field_name(EN, "share", "type")) == ("Kind of accident", "Type")
    assert (value_name(EN, "severity", "high"), value_name(EN, "to", "kisa")) == ("High", "KISA")
    assert (state_name(EN, "personal_case", "verified"), state_name(EN, "request", "verified")) == ("Leak verified", "Verified")


@pytest.mark.parametrize(
    ("law", "told"),
    [
        ("19(3)", "Cybersecurity Ordinance Art. 19(3)"),
        ("CO 15(1), (2), 25(1)", "Cybersecurity Ordinance Art. 15(1), (2), 25(1)"),
        ("PIO 7(1), DEC 48-4(4), (5)", "Personal Information Ordinance Art. 7(1) · PIPA Enforcement Decree Art. 48-4(4), (5)"),
        ("CO 17(2)3", "Cybersecurity Ordinance Art. 17(2)3"),
    ],
)
def test_articles_are_cited_in_full(law: str, told: str) -> None:
    assert law_name(EN, law) == told


def test_every_kind_and_clock_has_its_words() -> None:
    assert {kind.name for kind in KINDS} | {"delegations"} == set(WORDS["kind"]) == set(WORDS["kind_about"])
    assert set(WORDS["basis"]) == {"target", "pack", "set"}
    of_tracks = {"first_notice", "post", "first_report", "possible_notice"}
    later = {"decide", "further_report", "stay_posted", "explanation", "retraction"}
    assert of_tracks | later <= WORDS["clock"].keys()
