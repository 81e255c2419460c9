"""Forms out of JSON schemas, and how the Response pages say times, lengths of time and periods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.mayor.papers import ended
from api.dashboard.response.kinds import BY_NAME, link_of
from api.dashboard.response.shown import duration
from api.dashboard.steps.bar import is_dangerous, next_step
from api.dashboard.steps.entries import moment
from api.dashboard.steps.fields import Field, Shape, of_schema
from api.dashboard.texts import Texts
from core.clock import KST
from core.permissions import Principal, Role, grants_of_roles
from respond.duties.machine import DUTY
from respond.reports.machine import MACHINE as REPORT
from respond.requests.machine import MACHINE as REQUEST
from respond.sharing.machine import SHARE
from respond.warnings.machine import NOTICE

PART = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "maxLength": 20}}}
SCHEMAS = {"Part": PART, "Word": {"type": "string", "enum": ["one", "two"]}}


def body(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["needed"], "properties": properties}


def test_the_shapes_of_fields() -> None:
    made = of_schema(
        body(
            needed={"type": "string", "minLength": 1, "maxLength": 300, "pattern": "^x"},
            long={"type": "string", "maxLength": 4000, "default": ""},
            at={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
            word={"$ref": "#/components/schemas/Word", "default": "two"},
            count={"type": "integer", "minimum": 1, "maximum": 9},
            flag={"type": "boolean", "default": True},
            known={"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            texts={"type": "array", "items": {"type": "string", "maxLength": 2000}, "minItems": 1, "maxItems": 5},
            parts={"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
            part={"anyOf": [{"$ref": "#/components/schemas/Part"}, {"type": "null"}]},
        ),
        SCHEMAS,
    )
    found = {one.name: one for one in made}
    assert found["needed"] == Field("needed", Shape.TEXT, required=True, least=1, most=300, pattern="^x")
    assert (found["long"].shape, found["long"].empty) == (Shape.LONG_TEXT, "")
    assert (found["at"].shape, found["at"].nullable, found["at"].empty) == (Shape.TIME, True, None)
    assert (found["word"].shape, found["word"].words, found["word"].default) == (Shape.CHOICE, ("one", "two"), "two")
    assert (found["count"].shape, found["count"].least, found["count"].most) == (Shape.INTEGER, 1, 9)
    assert (found["flag"].shape, found["flag"].default, found["known"].shape) == (Shape.FLAG, True, Shape.TRISTATE)
    assert (found["texts"].shape, found["texts"].of) == (Shape.LIST, Field("texts", Shape.LONG_TEXT, most=2000))
    assert found["parts"].of == Field("parts", Shape.GROUP, fields=(Field("name", Shape.TEXT, required=True, most=20),))
    assert (found["part"].shape, found["part"].nullable) == (Shape.GROUP, True)
    assert [one.name for one in made if one.required] == ["needed"]


def test_what_no_form_can_show_is_an_error() -> None:
    with pytest.raises(ValueError, match="no form shows thing"):
        of_schema(body(thing={"type": "object", "additionalProperties": True}), SCHEMAS)


@given(st.integers(0, 3_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC)))
def test_a_typed_time_is_kst_and_comes_back_as_it_was(at: datetime) -> None:
    typed = at.strftime("%Y-%m-%dT%H:%M")
    sent = moment(typed)
    assert sent.tzinfo is UTC
    assert sent.astimezone(KST).strftime("%Y-%m-%dT%H:%M") == typed


def test_no_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        moment("nonsense")


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "none"), (5, "1 min"), (3599, "1 h 0 min"), (5400, "1 h 30 min"), (90000, "1 d 1 h"), (172800, "2 d 0 h")]
)
def test_lengths_of_time(seconds: float, told: str) -> None:
    assert duration(Texts("en"), seconds) == told


def test_only_periods_that_have_ended_in_seoul_are_offered() -> None:
    found = list(ended(Texts("en"), datetime(2026, 4, 30, 16, tzinfo=UTC)))  # the first of May in Seoul
    assert found[0] == "2026-04"
    assert "2026-05" not in found
    assert "2025" in found
    assert "2026" not in found
    assert "2026-04-30" in found
    assert "2026-05-01" not in found


def test_the_next_step_is_never_one_that_ends_something() -> None:
    assert next_step(REPORT, "received", ["request_followup", "accept"]) == "request_followup"
    assert next_step(REQUEST, "draft", ["edit", "issue"]) == "issue"
    assert next_step(SHARE, "draft", ["discard"]) == ""
    assert next_step(DUTY, "findings", ["record_findings", "sign_off"]) == "sign_off"
    assert next_step(DUTY, "answered", ["record_findings", "sign_off"]) == "record_findings"
    assert is_dangerous(NOTICE.kind, "release")
    assert not is_dangerous(SHARE.kind, "release")


@pytest.mark.parametrize(
    ("role", "agency", "kind", "states"),
    [
        (Role.SOC_LEAD, "", "reports", {"submitted", "received", "closing_submitted", "accepted"}),
        (Role.AGENCY_OFFICER, "seogu", "reports", {"draft", "followup_requested"}),
        (Role.MAYORS_OFFICE, "", "teams", {"requested", "proposed"}),
        (Role.ANALYST, "", "blocks", set[str]()),
    ],
)
def test_what_waits_for_whom(role: Role, agency: str, kind: str, states: set[str]) -> None:
    caller = Principal("user", "1", "x", agency, grants_of_roles([role]), (role,))
    assert set(BY_NAME[kind].waits_in(caller)) - {"followup_submitted"} == states


def test_where_a_case_is_shown() -> None:
    assert link_of("INC-2026-000001") == "/incidents/INC-2026-000001"
    assert link_of("WNT-2026-000002") == "/response/notices/WNT-2026-000002"
    assert link_of("RCP-2026-000001") == ""
