"""What is changed about rules at agencies: on or off, level, thresholds, suppression."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.etags import CONDITIONAL, SeenOrAbsent, SeenVersion, set_etag
from api.rule_states import RuleId, RuleTuning, state_of
from core.errors import Invalid
from core.permissions import Action, Principal
from core.rule_records import EVERY_AGENCY
from respond import tunings
from respond.tunings import Tuning

router = APIRouter(prefix="/v1/rules", tags=["rules"])

Reader = Annotated[Principal, Depends(Allowed(Action.RULES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.RULES_WRITE))]
ALL: Final = "_all"
"""In a path: every agency."""
AgencyId = Annotated[str, Path(max_length=63, pattern=r"^([a-z0-9][a-z0-9_.-]*|_all|_unknown)$", description=f"`{ALL}`: every agency")]


class TuningWish(BaseModel):
    """How a rule shall be at an agency; what is left out is as the rule says."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"enabled": True, "level": "low", "condition": {"gte": 50}, "reason": "The scanner of the district"}]
        },
    )

    enabled: bool = True
    level: str = Field(default="", max_length=16, description="informational, low, medium, high, critical")
    condition: dict[str, float] | None = Field(default=None, max_length=6, description="A correlation's: lt, lte, gt, gte, eq, neq")
    suppress: dict[str, Any] | None = Field(default=None, max_length=2, description='Such as {"by": ["src_ip"], "for": "1h"}')
    owner: str = Field(default="", max_length=128, description="Who answers for it; empty: the caller")
    reason: str = Field(min_length=1, max_length=tunings.LONGEST_REASON)


class TuningPage(BaseModel):
    """What is changed, by rule and agency. `next_cursor` is empty on the last page."""

    items: list[RuleTuning]
    next_cursor: str


@router.get("/tunings", summary="List what is changed about rules")
def list_tunings(
    caller: Reader, centre: TheCentre, cursor: paging.Cursor = "", limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> TuningPage:
    """Every change at the agencies within the caller's scope, and those for every agency."""
    with centre.database.session(readonly=True) as session:
        found = tunings.page(session, caller.scope(Action.RULES_READ), after=_place(cursor), limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    following = paging.encode_words(last.rule_id, last.agency) if last else ""
    return TuningPage(items=[RuleTuning.model_validate(one) for one in found[:limit]], next_cursor=following)


@router.get("/{rule_id}/tunings/{agency}", summary="Read what is changed about a rule at an agency")
def get_tuning(rule_id: RuleId, agency: AgencyId, response: Response, caller: Reader, centre: TheCentre) -> RuleTuning:
    """What is changed there; 404 while nothing is."""
    with centre.database.session(readonly=True) as session:
        found = tunings.find(session, caller.scope(Action.RULES_READ), rule_id, EVERY_AGENCY if agency == ALL else agency)
    set_etag(response, found.version)
    return RuleTuning.model_validate(found)


@router.put("/{rule_id}/tunings/{agency}", summary="Change a rule at an agency", responses=CONDITIONAL)
def put_tuning(
    rule_id: RuleId, agency: AgencyId, wish: TuningWish, caller: Writer, centre: TheCentre, seen: SeenOrAbsent, response: Response
) -> RuleTuning:
    """Switch a rule on or off at an agency, or change its level, a correlation's thresholds, or what is suppressed. It holds in seconds.

    `If-None-Match: *` where nothing is changed yet, `If-Match` to replace what is.
    """
    wanted = Tuning(
        rule_id=rule_id,
        agency=_agency(centre, agency),
        enabled=wish.enabled,
        level=wish.level,
        condition=wish.condition,
        suppress=wish.suppress,
        owner=wish.owner or caller.name,
        reason=wish.reason,
        at=centre.clock.now(),
    )
    with centre.database.session() as session:
        state = state_of(session, rule_id)
        if wish.condition is not None and state.kind != "correlation":
            raise Invalid("only a correlation has thresholds: this rule looks at one event at a time")
        if wish.condition is not None and state.about.get("boolean"):
            raise Invalid("its condition says which of its rules must match and has no thresholds: change the rule, or switch it off here")
        made = RuleTuning.model_validate(tunings.put(session, caller.scope(Action.RULES_WRITE), caller.actor, wanted, seen=seen))
    set_etag(response, made.version)
    return made


@router.delete(
    "/{rule_id}/tunings/{agency}", status_code=204, summary="Undo what is changed about a rule at an agency", responses=CONDITIONAL
)
def drop_tuning(rule_id: RuleId, agency: AgencyId, caller: Writer, centre: TheCentre, version: SeenVersion) -> None:
    """The rule is again as it is written, also when it does not run any more."""
    with centre.database.session() as session:
        scope, place = caller.scope(Action.RULES_WRITE), EVERY_AGENCY if agency == ALL else agency
        tunings.drop(session, scope, caller.actor, rule_id, place, seen=version)


def _agency(centre: Centre, agency: str) -> str:
    if agency == ALL:
        return EVERY_AGENCY
    if agency not in {one.id for one in centre.settings.agencies} | {"_unknown"}:
        raise Invalid(f"there is no agency {agency!r}")
    return agency


def _place(cursor: str) -> tuple[str, str] | None:
    if not cursor:
        return None
    rule_id, agency = paging.decode_words(cursor, 2)
    return rule_id, agency
