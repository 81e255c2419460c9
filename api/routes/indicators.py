"""Feeds of indicators: taking their files, telling what is known, and what history knew of it first.

What is marked TLP:RED is shown to those who may write indicators, and to nobody else.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Final, Literal, cast

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.errors import Invalid, TooLarge, Unsupported
from core.permissions import Action, Principal
from core.storage import indicators as stored
from detect.indicators import feeds, values
from detect.indicators.feeds import Defaults
from detect.indicators.model import RED
from detect.indicators.tables import IndicatorFeed, IndicatorImport, IndicatorSighting
from detect.indicators.values import BadValue
from ingest.inflate import BadCompression, Encoding, Inflater

router = APIRouter(prefix="/v1/indicators", tags=["indicators"])

_READS: Final = Depends(Allowed(Action.INDICATORS_READ))
_WRITES: Final = Depends(Allowed(Action.INDICATORS_WRITE))
Reader = Annotated[Principal, _READS]
Writer = Annotated[Principal, _WRITES]
FeedName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="The feed: small letters, digits, `_`, `.` and `-`")]
Format = Literal["stix", "misp", "csv"]
Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]

MOST_SHOWN: Final = 1000
_FORMATS: Final[Mapping[str, Format]] = {"application/stix+json": "stix", "application/taxii+json": "stix", "text/csv": "csv"}
_ENCODINGS: Final[Mapping[str, Encoding | None]] = {"": None, "identity": None, "gzip": "gzip", "zstd": "zstd"}
_ZSTD_WINDOW: Final = 8 << 20  # RFC 9659
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "A STIX 2.1 bundle, an export of MISP, or CSV. At most `indicators.max_import_mb` after decompression.",
        "content": {
            "application/stix+json": {"schema": {"type": "object"}},
            "application/json": {"schema": {"type": "object"}},
            "text/csv": {"schema": {"type": "string"}, "example": "value,type,tlp\n203.0.113.5,,green\nevil.example,domain,amber\n"},
        },
    }
}


class Imported(BaseModel):
    """What became of a file: all that was accepted is in the store."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"import_id": 7, "feed": "kisa", "accepted": 1200, "new": 30, "refused": {"unsupported": 4}}]}
    )

    import_id: int
    feed: str
    accepted: int
    new: int = Field(description="Of the accepted, those that were not in force in the feed before: they are searched for in history")
    refused: dict[str, int] = Field(description="Entries that were not taken, by reason")


class History(BaseModel):
    """How far the search of history for an import's new indicators is."""

    since: datetime | None
    until: datetime | None
    searched_until: datetime | None = Field(description="Null: it is done, or there is nothing to search")
    events: int = Field(description="Events that had to be judged")
    capped: bool = Field(description="Some day gave more matches than are kept")


class Import(BaseModel):
    """One import. `finished_at` is null while it is under way, and for ever when it was cut short."""

    import_id: int
    feed: str
    format: str
    sha256: str
    started_at: datetime
    started_by: str
    finished_at: datetime | None
    accepted: int
    new: int
    refused: dict[str, int]
    history: History


class FirstKnowable(BaseModel):
    """When an agency's logs first knew one of the new indicators, by the device's clock."""

    agency: str
    first_at: datetime
    indicators: int
    events: int


class Sighting(BaseModel):
    """A new indicator in an agency's history. `value` is empty where it is not to be shown."""

    agency: str
    type: str
    value: str
    hash: str
    tlp: str
    first_at: datetime
    first_event: str
    last_at: datetime
    events: int


class ImportDetail(Import):
    """An import with what history knew, in the agencies the caller may see; at most 1,000 sightings, the earliest first."""

    first_knowable: list[FirstKnowable]
    sightings: list[Sighting]


class ImportPage(BaseModel):
    """Imports, newest first. `next_cursor` is empty on the last page."""

    items: list[Import]
    next_cursor: str


class Feed(BaseModel):
    """A feed, what holds for indicators that do not say it, and how many of each type are in force."""

    name: str
    expire_days: int = Field(description="0: without end")
    tlp: str
    confidence: int
    created_at: datetime
    created_by: str
    in_force: dict[str, int]
    last_import: Import | None
    version: int = Field(description="The ETag; every import counts")


class Feeds(BaseModel):
    """Every feed by name."""

    items: list[Feed]


class Indicator(BaseModel):
    """An indicator that speaks of what was asked for."""

    feed: str
    type: str
    value: str
    in_force: bool
    valid_from: datetime | None
    valid_until: datetime | None
    confidence: int
    tlp: str
    source: str
    labels: str
    reference: str
    description: str
    import_id: int
    first_import: int


class Indicators(BaseModel):
    """The indicators of one hash, of each feed that has it."""

    items: list[Indicator]


class Known(BaseModel):
    """What is known of a value: indicators of itself, of the domains it lies in, of the networks around it."""

    value: str
    type: str
    items: list[Indicator]


class Refusal(BaseModel):
    """An entry that was not taken; `place` counts entries from 1."""

    place: int
    given: str
    reason: str


class Refusals(BaseModel):
    """Refused entries in the order of the file, at most 1,000."""

    items: list[Refusal]


@router.post("/feeds/{name}", summary="Import a file into a feed", openapi_extra=_BODY)
async def import_feed(
    request: Request,
    name: FeedName,
    caller: Writer,
    centre: TheCentre,
    form: Annotated[Format | None, Query(alias="format", description="Default: by the content type")] = None,
    expire_days: Annotated[
        int | None, Query(ge=0, le=feeds.LONGEST_EXPIRY_DAYS, description="Of indicators without an end of their own; 0: none; kept")
    ] = None,
    tlp: Annotated[Tlp | None, Query(description="Of indicators without a marking; kept with the feed")] = None,
    confidence: Annotated[int | None, Query(ge=0, le=100, description="Of indicators that tell none; kept with the feed")] = None,
    content_type: Annotated[str, Header()] = "",
    content_encoding: Annotated[str, Header(description="gzip, zstd or none")] = "",
) -> Imported:
    """Take every indicator of the file; one that is there already is replaced. 200 means they are in the store.

    413: larger than the limit. 415: say `format`. 422: not a file of that format; nothing was changed. 429: another import is under way.
    """
    chosen = form or _format(content_type)
    limit = centre.settings.indicators.max_import_mb << 20
    with tempfile.TemporaryFile(dir=centre.settings.data_dir) as file:
        sha256 = await _spool(_plain(request.stream(), content_encoding), cast(BinaryIO, file), limit)
        wanted = Defaults(expire_days, tlp, confidence)
        done = await centre.importer.run(cast(BinaryIO, file), sha256, name, chosen, wanted, caller.actor)
    return Imported(import_id=done.import_id, feed=name, accepted=done.accepted, new=done.fresh, refused=dict(done.refused))


@router.get("/feeds", summary="List feeds", dependencies=[_READS])
async def list_feeds(centre: TheCentre) -> Feeds:
    """Every feed by name."""
    counts = await stored.count_in_force(centre.store, centre.clock.now())

    def ask() -> Feeds:
        with centre.database.session(readonly=True) as session:
            return Feeds(items=[_feed(feed, last, counts.get(feed.name, {})) for feed, last in feeds.list_feeds(session)])

    return await asyncio.to_thread(ask)


@router.get("/feeds/{name}", summary="Read a feed", dependencies=[Depends(Allowed(Action.INDICATORS_READ, Action.INDICATORS_WRITE))])
async def get_feed(name: FeedName, response: Response, centre: TheCentre) -> Feed:
    """One feed."""
    counts = await stored.count_in_force(centre.store, centre.clock.now())

    def ask() -> Feed:
        with centre.database.session(readonly=True) as session:
            feed = feeds.get_feed(session, name)
            return _feed(feed, feeds.last_import(session, name), counts.get(name, {}))

    found = await asyncio.to_thread(ask)
    set_etag(response, found.version)
    return found


@router.delete("/feeds/{name}", status_code=204, summary="Delete a feed", responses=CONDITIONAL)
async def delete_feed(name: FeedName, caller: Writer, centre: TheCentre, version: SeenVersion) -> None:
    """Delete the feed with all its indicators. Its imports stay, with what they met in history."""
    await centre.importer.delete(name, caller.actor, version)


@router.get("", summary="Ask whether a value is known")
async def find(
    caller: Reader,
    centre: TheCentre,
    value: Annotated[str, Query(min_length=1, max_length=values.LONGEST, description="Address, network, domain, URL or hash")],
) -> Known:
    """The indicators, ended ones too, that speak of the value: of itself, of what it lies in."""
    try:
        asked = values.guess(value)
    except BadValue as error:
        raise Invalid(str(error)) from error
    hidden = [] if caller.may(Action.INDICATORS_WRITE) else [RED]
    rows = await stored.find(centre.store, values.parents(asked), hidden, MOST_SHOWN)
    return Known(value=asked.text, type=asked.type, items=_indicators(rows, centre.clock.now()))


@router.get("/hashes/{digest}", summary="Find an indicator by the hash a detection names it by", dependencies=[_WRITES])
async def find_hash(digest: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")], centre: TheCentre) -> Indicators:
    """The indicator of each feed with that hash. Detections of what is marked TLP:RED name it so."""
    return Indicators(items=_indicators(await stored.find_hash(centre.store, digest, MOST_SHOWN), centre.clock.now()))


@router.get("/imports", summary="List imports", dependencies=[_READS])
def list_imports(
    centre: TheCentre,
    cursor: Annotated[str, Query(max_length=18, pattern=r"^[0-9]*$", description="`next_cursor` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> ImportPage:
    """All imports, of deleted feeds too."""
    with centre.database.session(readonly=True) as session:
        rows = feeds.list_imports(session, int(cursor) if cursor else None, limit + 1)
    following = str(rows[limit - 1].id) if len(rows) > limit else ""
    return ImportPage(items=[_import(row) for row in rows[:limit]], next_cursor=following)


@router.get("/imports/{import_id}", summary="Read an import and what history knew")
def get_import(import_id: paging.RowNumber, caller: Reader, centre: TheCentre) -> ImportDetail:
    """One import; the earliest match of each agency the caller may see, and the matches themselves."""
    scope = caller.scope(Action.INDICATORS_READ)
    with centre.database.session(readonly=True) as session:
        row = feeds.get_import(session, import_id)
        first = feeds.first_knowable(session, import_id, scope)
        met = feeds.sightings(session, import_id, scope, MOST_SHOWN)
    shows_red = caller.may(Action.INDICATORS_WRITE)
    return ImportDetail(
        **_import(row).model_dump(),
        first_knowable=[
            FirstKnowable(agency=one.agency, first_at=one.first_at, indicators=one.indicators, events=one.events) for one in first
        ],
        sightings=[_sighting(one, shown=shows_red or one.tlp != RED) for one in met],
    )


@router.get("/imports/{import_id}/refusals", summary="List the entries of an import that were refused", dependencies=[_WRITES])
def list_refusals(import_id: paging.RowNumber, centre: TheCentre) -> Refusals:
    """The first 1,000, with the reason of each."""
    with centre.database.session(readonly=True) as session:
        feeds.get_import(session, import_id)
        return Refusals(items=[Refusal(place=one.place, given=one.given, reason=one.reason) for one in feeds.refusals(session, import_id)])


def _format(content_type: str) -> Format:
    media = content_type.partition(";")[0].strip().lower()
    try:
        return _FORMATS[media]
    except KeyError:
        raise Unsupported(f"content type {media!r} does not tell the format: add ?format=stix, misp or csv") from None


async def _plain(body: AsyncIterator[bytes], content_encoding: str) -> AsyncIterator[bytes]:
    """The body's bytes, decompressed."""
    try:
        encoding = _ENCODINGS[content_encoding.strip().lower()]
    except KeyError:
        raise Unsupported(f"content encoding {content_encoding!r} is not read here: send gzip, zstd or none") from None
    inflater = Inflater(encoding, _ZSTD_WINDOW) if encoding else None
    try:
        async for chunk in body:
            for data in inflater.feed(chunk) if inflater else (chunk,):
                yield data
        if inflater:
            inflater.finish()
    except BadCompression as error:
        raise Invalid(f"the body cannot be read: {error}") from error


async def _spool(body: AsyncIterator[bytes], file: BinaryIO, limit: int) -> str:
    """Write the body to `file`; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    async for data in body:
        size += len(data)
        if size > limit:
            raise TooLarge(f"the file is larger than {limit >> 20} MiB after decompression (indicators.max_import_mb)")
        digest.update(data)
        await asyncio.to_thread(file.write, data)
    return digest.hexdigest()


def _feed(row: IndicatorFeed, last: IndicatorImport | None, in_force: Mapping[str, int]) -> Feed:
    own = {name: getattr(row, name) for name in Feed.model_fields if name not in ("in_force", "last_import")}
    return Feed(**own, in_force=dict(in_force), last_import=_import(last) if last else None)


def _import(row: IndicatorImport) -> Import:
    history = History(
        since=row.history_since,
        until=row.history_until,
        searched_until=row.history_next,
        events=row.history_events,
        capped=row.history_capped,
    )
    return Import(
        import_id=row.id,
        feed=row.feed,
        format=row.format,
        sha256=row.sha256,
        started_at=row.started_at,
        started_by=row.started_by,
        finished_at=row.finished_at,
        accepted=row.accepted,
        new=row.fresh,
        refused=row.refused,
        history=history,
    )


def _sighting(one: IndicatorSighting, *, shown: bool) -> Sighting:
    return Sighting(
        agency=one.agency,
        type=one.type,
        value=one.value if shown else "",
        hash=one.hash,
        tlp=one.tlp,
        first_at=one.first_at,
        first_event=one.first_event,
        last_at=one.last_at,
        events=one.events,
    )


def _indicators(rows: Sequence[dict[str, Any]], now: datetime) -> list[Indicator]:
    return [
        Indicator(
            **row,
            in_force=(row["valid_from"] is None or row["valid_from"] <= now) and (row["valid_until"] is None or now < row["valid_until"]),
        )
        for row in rows
    ]
