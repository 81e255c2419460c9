"""Views of the list of incidents that somebody keeps."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from api import paging, saved_views
from api.auth.dependencies import Allowed, TheCentre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from api.routes.incidents import Wanted
from core.permissions import Action, Principal

router = APIRouter(prefix="/v1/views", tags=["incidents"])

Reader = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))]
ViewId = Annotated[str, Path(max_length=64)]
_EXAMPLE: Final[dict[str, Any]] = {"name": "Grave and mine", "query": "severity=critical&severity=high&assignee=me&sort=last_event"}
_TAKEN: Final[dict[int | str, dict[str, Any]]] = {409: {"description": "You have another of that name"}}
_SEVERAL: Final = ("state", "severity")


def _askable(query: str) -> str:
    """`query` if `GET /v1/incidents` would take it."""
    asked = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=64)
    try:
        wanted = Wanted.model_validate({name: values if name in _SEVERAL else values[-1] for name, values in asked.items()})
    except ValidationError as error:
        raise ValueError(f"the list of incidents takes no such query: {error.errors()[0]['msg']}") from error
    if wanted.cursor:
        raise ValueError("a view begins at its beginning: leave the cursor out")
    return query


class ViewWish(BaseModel):
    """A view as it shall be. `query` is what `GET /v1/incidents` is asked with, without `?` and cursor."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: str = Field(min_length=1, max_length=80)
    query: Annotated[str, AfterValidator(_askable)] = Field(max_length=2000)


class View(BaseModel):
    """A view somebody keeps. `version` is its ETag."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    query: str
    version: int
    updated_at: datetime


class ViewPage(BaseModel):
    """Views of the caller, by name. `next_cursor` is empty on the last page."""

    items: list[View]
    next_cursor: str


@router.get("", summary="List one's views")
def list_views(
    caller: Reader,
    centre: TheCentre,
    cursor: paging.Cursor = "",
    limit: Annotated[int, Query(ge=1, le=saved_views.MOST_VIEWS)] = saved_views.MOST_VIEWS,
) -> ViewPage:
    """The caller's own views of the list of incidents."""
    after = paging.decode_words(cursor, 1)[0] if cursor else ""
    with centre.database.session(readonly=True) as session:
        found = [View.model_validate(one) for one in saved_views.listed(session, caller.actor, after=after, limit=limit + 1)]
    following = paging.encode_words(found[limit - 1].name) if len(found) > limit else ""
    return ViewPage(items=found[:limit], next_cursor=following)


@router.get("/{view_id}", summary="Read a view")
def read_view(view_id: ViewId, response: Response, caller: Reader, centre: TheCentre) -> View:
    """One of the caller's own views."""
    with centre.database.session(readonly=True) as session:
        view = View.model_validate(saved_views.find(session, caller.actor, view_id))
    set_etag(response, view.version)
    return view


@router.post("", status_code=201, summary="Keep a view", responses={409: {"description": "There is one of that name, or a hundred"}})
def keep_view(wish: ViewWish, response: Response, caller: Reader, centre: TheCentre) -> View:
    """Keep a query of the list of incidents under a name."""
    with centre.database.session() as session:
        view = View.model_validate(saved_views.keep(session, caller.actor, wish.name, wish.query))
    set_etag(response, view.version)
    return view


@router.put("/{view_id}", summary="Rename or replace a view", responses={**CONDITIONAL, **_TAKEN})
def replace_view(view_id: ViewId, wish: ViewWish, caller: Reader, centre: TheCentre, version: SeenVersion, response: Response) -> View:
    """Give a view another name or query."""
    with centre.database.session() as session:
        view = View.model_validate(saved_views.replace(session, caller.actor, view_id, version, wish.name, wish.query))
    set_etag(response, view.version)
    return view


@router.delete("/{view_id}", status_code=204, summary="Remove a view", responses=CONDITIONAL)
def remove_view(view_id: ViewId, caller: Reader, centre: TheCentre, version: SeenVersion) -> None:
    """Take a view away."""
    with centre.database.session() as session:
        saved_views.remove(session, caller.actor, view_id, version)
