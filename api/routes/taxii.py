"""A TAXII 2.1 server (OASIS Standard, 10 June 2021) over what was published to the caller: one API root, a collection for each TLP level.

Machines show their key as a Bearer token, or by HTTP Basic as the password. Reading by an agency's key counts as collecting. Objects are
taken by the collection `inbox` alone and become a proposed share; nothing is deleted here.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api import sharing
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.envelope import LARGEST_BODY
from core.errors import Forbidden, Invalid, TooLarge, Unsupported
from core.permissions import Action, Principal
from respond.cases.canonical import canonical
from respond.sharing import inbox, receipts, taxii
from respond.sharing.policy import LEVELS
from respond.sharing.taxii import INBOX, MEDIA, Found, Wanted


def accepts(request: Request) -> None:
    """406 unless the caller takes TAXII 2.1 (1.6.8)."""
    given = request.headers.get("Accept", "*/*")
    for part in given.split(","):
        media, *params = (word.strip().lower().replace(" ", "") for word in part.split(";"))
        versions = [param.removeprefix("version=") for param in params if param.startswith("version=")]
        if media in ("*/*", "application/*") or (media == "application/taxii+json" and versions in ([], ["2.1"])):
            return
    raise HTTPException(406, f"this server speaks {MEDIA} alone")


class Taxii(JSONResponse):
    """A TAXII resource, given as its canonical JSON."""

    media_type = MEDIA

    def render(self, content: str) -> bytes:
        """The text as it is."""
        return content.encode()


router = APIRouter(
    prefix="/taxii2",
    tags=["taxii"],
    dependencies=[Depends(accepts)],
    default_response_class=Taxii,
    responses={code: {"description": "An error resource (3.6.1)", "content": {MEDIA: {}}} for code in ("4XX", "5XX")},
)

Reader = Annotated[Principal, Depends(Allowed(Action.SHARING_READ))]
Either = Annotated[Principal, Depends(Allowed(Action.SHARING_READ, Action.SHARING_WRITE))]
Writer = Annotated[Principal, Depends(Allowed(Action.SHARING_WRITE))]
ROOT: Final = "/taxii2/root/"
_PAGE: Final = 100
_COUNT: Final = re.compile(r"\d{1,9}")
_FILTERS: Final = {"added_after", "limit", "next", "match[id]", "match[type]", "match[version]", "match[spec_version]"}
_TITLES: Final = {INBOX: "What agencies send to the centre"} | {level: f"TLP:{level.upper()}" for level in LEVELS}


@router.get("/", summary="TAXII discovery")
def discovery(_caller: Either, centre: TheCentre) -> Taxii:
    """The server and its API root (4.1)."""
    settings = centre.settings.respond.sharing
    told = {
        "title": settings.centre_name,
        "description": "Threat information shared under article 22",
        "default": ROOT,
        "api_roots": [ROOT],
    }
    return _answer(told | ({"contact": settings.contact} if settings.contact else {}))


@router.get("/root/", summary="TAXII API root")
def root(_caller: Either, centre: TheCentre) -> Taxii:
    """What the API root speaks and takes (4.2)."""
    name = centre.settings.respond.sharing.centre_name
    return _answer({"title": name, "versions": [MEDIA], "max_content_length": LARGEST_BODY})


@router.get("/root/status/{status_id}/", summary="TAXII status")
@router.get("/root/status/{status_id}", include_in_schema=False, summary="TAXII status")
def status(status_id: str, caller: Writer, centre: TheCentre) -> Taxii:
    """What became of objects the caller's agency sent (4.3)."""
    with centre.database.session(readonly=True) as session:
        return _answer(inbox.status(taxii.submission(session, sharing.recipient(caller, Action.SHARING_WRITE), status_id)))


@router.get("/root/collections/", summary="TAXII collections")
def collections(caller: Either) -> Taxii:
    """The caller's collections (5.1)."""
    return _answer({"collections": [_collection(caller, level) for level in (*LEVELS, INBOX)]})


@router.get("/root/collections/{collection}/", summary="TAXII collection")
def collection_of(collection: str, caller: Either) -> Taxii:
    """One of the caller's collections (5.2)."""
    return _answer(_collection(caller, taxii.level_of(_who(caller), collection)))


@router.get("/root/collections/{collection}/manifest/", summary="TAXII manifest")
def manifest(collection: str, request: Request, caller: Reader, centre: TheCentre) -> Taxii:
    """Which versions of which objects there are (5.3). It is no receipt."""
    found = _found(request, collection, caller, centre)
    return _paged(found, {"objects": [taxii.entry(row) for row in found.rows]})


@router.get("/root/collections/{collection}/objects/", summary="TAXII objects")
def objects(collection: str, request: Request, caller: Reader, centre: TheCentre) -> Taxii:
    """The objects of a collection (5.4), signed. An agency's machine that reads them has collected what they belong to."""
    found = _found(request, collection, caller, centre)
    _note(centre, caller, found)
    return _paged(found, {"objects": [json.loads(row.content) for row in found.rows]})


@router.post("/root/collections/{collection}/objects/", status_code=202, summary="TAXII: add objects")
async def add_objects(collection: str, request: Request, caller: Writer, centre: TheCentre) -> Taxii:
    """Send objects (5.5): they become one proposed share of the caller's agency. The status says what was taken."""
    if taxii.level_of(_who(caller, Action.SHARING_WRITE), collection) != INBOX:
        raise Forbidden("objects are sent to the collection `inbox`; the others are written by the centre's release alone")
    media = request.headers.get("Content-Type", "").replace(" ", "").lower()
    if media not in (MEDIA, "application/taxii+json"):
        raise Unsupported(f"send {MEDIA}")
    sent = _sent(await request.body())

    def write() -> dict[str, Any]:
        terms, agency = sharing.terms(centre), sharing.recipient(caller, Action.SHARING_WRITE)
        with centre.database.session() as session:
            return inbox.status(inbox.take_in(session, agency, caller.actor, sent, sharing.read_pattern, terms))

    return _answer(await asyncio.to_thread(write), status=202)


@router.get("/root/collections/{collection}/objects/{object_id}/", summary="TAXII object")
def one_object(collection: str, object_id: str, request: Request, caller: Reader, centre: TheCentre) -> Taxii:
    """The versions of one object (5.6); without a filter the last."""
    found = _found(request, collection, caller, centre, object_id)
    _note(centre, caller, found)
    return _paged(found, {"objects": [json.loads(row.content) for row in found.rows]})


@router.delete("/root/collections/{collection}/objects/{object_id}/", summary="TAXII: delete an object")
def delete_object(collection: str, object_id: str, caller: Either) -> Taxii:
    """Always refused (5.7): what was shared is revoked, so that whoever has it learns of it."""
    taxii.level_of(_who(caller), collection)
    raise Forbidden(f"{object_id} is not deleted: the centre revokes what it shared")


@router.get("/root/collections/{collection}/objects/{object_id}/versions/", summary="TAXII object versions")
def versions(collection: str, object_id: str, request: Request, caller: Reader, centre: TheCentre) -> Taxii:
    """The versions there are of one object (5.8)."""
    found = _found(request, collection, caller, centre, object_id, every=True)
    return _paged(found, {"versions": [taxii.stamp(row.version) for row in found.rows]})


def _who(caller: Principal, action: Action | None = None) -> str:
    """Whose copies the caller gets; whoever may only write has collections, too."""
    return sharing.recipient(caller, action or (Action.SHARING_READ if caller.may(Action.SHARING_READ) else Action.SHARING_WRITE))


def _collection(caller: Principal, level: str) -> dict[str, Any]:
    who = _who(caller)
    return {
        **{"id": taxii.collection_id(who, level), "title": f"{_TITLES[level]}{f' for {who}' if who else ''}", "alias": level},
        "can_read": level != INBOX and caller.may(Action.SHARING_READ),
        "can_write": level == INBOX and caller.may(Action.SHARING_WRITE),
        "media_types": [taxii.STIX],
    }


def _found(request: Request, collection: str, caller: Principal, centre: Centre, object_id: str = "", *, every: bool = False) -> Found:
    """The page a request asks for."""
    wanted = _wanted(request, object_id, every=every)
    who = _who(caller)
    level = taxii.level_of(who, collection)
    if level == INBOX:
        raise Forbidden("the collection `inbox` is written, not read")
    with centre.database.session(readonly=True) as session:
        if object_id:
            taxii.knows(session, who, level, caller.actor, object_id)
        return taxii.read(session, who, level, caller.actor, wanted)


def _wanted(request: Request, object_id: str, *, every: bool) -> Wanted:
    """The filters of a request; Invalid when one is unknown or malformed."""
    given = request.query_params
    if unknown := set(given) - _FILTERS:
        raise Invalid(f"there is no filter {', '.join(sorted(unknown))}")

    def words(name: str) -> tuple[str, ...]:
        return tuple(word.strip() for text in given.getlist(name) for word in text.split(",") if word.strip())

    limit, place = given.get("limit") or "0", given.get("next") or "0"
    if not _COUNT.fullmatch(limit) or not _COUNT.fullmatch(place):
        raise Invalid("limit is a whole number, and next was given by us")
    after = given.get("added_after", "")
    return Wanted(
        added_after=taxii.instant(after, "added_after") if after else None,
        ids=(object_id,) if object_id else words("match[id]"),
        types=() if object_id else words("match[type]"),
        versions=("all",) if every else words("match[version]") or ("last",),
        spec_versions=words("match[spec_version]"),
        place=int(place),
        limit=min(int(limit) or _PAGE, taxii.MOST),
    )


def _note(centre: Centre, caller: Principal, found: Found) -> None:
    """Machines of an agency collect; people look."""
    shares = {row.share for row in found.rows}
    if caller.kind != "key" or not caller.agency or not caller.may(Action.SHARING_READ):
        return
    with centre.database.session(readonly=True) as session:
        if not receipts.uncollected(session, caller.agency, shares):
            return
    with centre.database.session() as session:
        receipts.collected(session, caller.agency, caller.actor, shares)


def _sent(body: bytes) -> list[Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the body is no JSON: {error}") from error
    sent = told.get("objects") if isinstance(told, dict) else None
    if not isinstance(sent, list) or not sent:
        raise Invalid("send a TAXII envelope with `objects`")
    if len(sent) > inbox.MOST:
        raise TooLarge(f"send at most {inbox.MOST} objects at once")
    return sent


def _paged(found: Found, told: dict[str, Any]) -> Taxii:
    """A page, empty where there is nothing, with where the next begins and when its first and last were added (3.5)."""
    if not found.rows:
        return _answer({})
    more: dict[str, Any] = {"more": True, "next": str(found.rows[-1].id)} if found.more else {"more": False}
    added = {"First": found.rows[0].added_at, "Last": found.rows[-1].added_at}
    return _answer(more | told, headers={f"X-TAXII-Date-Added-{name}": taxii.stamp(at) for name, at in added.items()})


def _answer(told: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> Taxii:
    return Taxii(canonical(told), status, headers=headers)
