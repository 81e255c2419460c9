"""What the routes of sharing share: the terms it goes by, and what they take and give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.cases import CaseOut, Progress, Wish
from api.centre import Centre
from core.clock import Clock
from core.config import MaskingSettings
from core.errors import Invalid
from core.instants import Instant
from core.permissions import Action, Principal
from core.signing import load_signer
from core.storage import indicators as stored
from detect.indicators import patterns, values
from detect.indicators.values import BadValue
from ingest.privacy.masking import CARD, RRN, Masker
from respond.sharing import policy as policies
from respond.sharing.content import Content, Indicator
from respond.sharing.policy import LEVELS, Tlp
from respond.sharing.receipts import Done
from respond.sharing.service import Terms

STIX_MEDIA: Final = "application/stix+json;version=2.1"
_EXAMPLE: Final[dict[str, Any]] = {
    "kind": "indicator",
    "tlp": "amber",
    "about": "incident/INC-2026-000001",
    "content": {
        "title": "Password guessing against VPN gateways",
        "summary": "One address tried 40 accounts in ten minutes.",
        "indicators": [{"type": "address", "value": "203.0.113.5", "confidence": 80}],
        "techniques": [{"id": "T1110.001", "name": "Password Guessing"}],
        "measures": [{"name": "Ask for a second factor", "description": "On every VPN gateway"}],
    },
}


class ShareWish(BaseModel):
    """What is to be shared. Without `content` it is taken from the incident `about` names."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    kind: str = Field(max_length=40, description="A kind of threat information, such as means, software, vulnerability or indicator")
    tlp: Tlp
    about: str = Field(default="", pattern=r"^(incident/INC-\d{4}-\d{6,12})?$")
    supersedes: str = Field(default="", pattern=r"^(SHR-\d{4}-\d{6,12})?$", description="The released share this is a new version of")
    recipients: list[str] = Field(default=[], max_length=500, description="Agencies it goes to; none: every agency the level lets have it")
    content: Content | None = None


class EditWish(Wish):
    """A draft as it is to be."""

    kind: str = Field(max_length=40)
    tlp: Tlp
    recipients: list[str] = Field(default=[], max_length=500)
    content: Content


class SupersedeWish(Wish):
    """The draft that takes its place."""

    by: str = Field(pattern=r"^SHR-\d{4}-\d{6,12}$")


class ReplyWish(Wish):
    """What was done about it; `reason` says it in words."""

    done: Done


class Share(CaseOut):
    """A share. `victim` is where it happened; `root` is its first version, `supersedes` the one before."""

    about: str
    victim: str
    kind: str
    title: str
    tlp: str
    recipients: list[str]
    supersedes: str
    root: str
    policy_version: str
    first_released_at: datetime | None
    released_at: datetime | None


class Receipt(CaseOut):
    """A share at one recipient."""

    share: str
    title: str
    tlp: str
    reply: dict[str, Any]
    collected_at: datetime | None
    received_at: datetime | None
    replied_at: datetime | None
    chased_at: datetime | None


class ShareDetail(Share):
    """A share with what it holds, where it went, and how it went."""

    content: Content
    receipts: list[Receipt]
    progress: Progress


class ReceiptDetail(Receipt):
    """A receipt with how it went."""

    progress: Progress


class Peer(BaseModel):
    """How far a collection of a peer was read. `problem` is why the last turn failed, '' when it did not."""

    model_config = ConfigDict(from_attributes=True)

    peer: str
    collection: str
    added_after: str
    asked_at: Instant
    objects: int
    indicators: int
    problem: str


class Peers(BaseModel):
    """Every collection of every peer."""

    items: list[Peer]


class PolicyKind(BaseModel):
    """A kind of threat information."""

    id: str
    article: str
    ko: str
    en: str


class PolicyLevel(BaseModel):
    """What a TLP level means here [ours]; `reply_hours` is the centre's own target."""

    tlp: str
    reach: Literal["agencies", "named"]
    onward: bool
    reply_hours: float | None


class Policy(BaseModel):
    """The policy in force."""

    version: str
    kinds: list[PolicyKind]
    levels: list[PolicyLevel]


def terms(centre: Centre) -> Terms:
    """What sharing goes by in this centre."""
    settings = centre.settings.respond
    policy = policies.load(settings.sharing)
    sources = [address for agency in centre.settings.agencies for source in agency.sources for address in source.addresses]
    networks = [ip_network(str(one)) for one in (*policy.internal_networks, *settings.never_block, *sources)]
    return Terms(
        policy,
        load_signer(centre.settings.signing_key),
        settings.sharing.centre_name,
        {agency.id: (agency.name_ko, agency.name_en) for agency in centre.settings.agencies},
        networks,
        _personal_numbers(centre.clock),
    )


def recipient(caller: Principal, action: Action = Action.SHARING_READ) -> str:
    """Whose copies the caller gets: the own agency's, or '' (the centre's own) for whoever sees the whole city."""
    return "" if caller.scope(action) is None else caller.agency


def read_pattern(text: str) -> list[tuple[str, str]]:
    """The (type, value) pairs of a STIX pattern; ValueError when it says more than values can."""
    return [(one.type.value, one.text) for one in patterns.read(text)]


async def with_sources(centre: Centre, caller: Principal, content: Content) -> Content:
    """The content with its values checked and, for whoever reads the library, where each is known from under which level.

    Of several feeds the least strict counts: what somebody published may be shared, whoever else sent it in confidence.
    """
    checked = [_checked(one) for one in content.indicators]
    if checked and caller.may(Action.INDICATORS_READ):
        texts = sorted({_normal(one) for one in checked})
        rows = [row for row in await stored.find(centre.store, texts, [], 1000 + len(texts)) if row["tlp"] in LEVELS]
        known: dict[str, dict[str, Any]] = {}
        for row in sorted(rows, key=lambda row: -LEVELS.index(row["tlp"])):
            known[row["value"]] = row
        checked = [_sourced(one, known.get(_normal(one))) for one in checked]
    return content.model_copy(update={"indicators": tuple(checked)})


def policy_shown(centre: Centre) -> Policy:
    """The policy in force, for people."""
    policy = policies.load(centre.settings.respond.sharing)
    kinds = [PolicyKind(id=one.id, article=one.article, ko=one.ko, en=one.en) for one in policy.kinds]
    return Policy(
        version=policy.version, kinds=kinds, levels=[PolicyLevel(tlp=level, **policy.tlp[level].model_dump()) for level in LEVELS]
    )


def _checked(one: Indicator) -> Indicator:
    """Invalid when the value is not of its type. A URL stays as it is written, the others are normalised."""
    try:
        value = values.READERS[values.Type(one.type)](one.value)
    except BadValue as error:
        raise Invalid(str(error)) from error
    if value.type.value != one.type:
        raise Invalid(f"{one.value} is of type {value.type.value}, not {one.type}")
    return one.model_copy(update={"value": one.value.strip() if one.type == "url" else value.text, "tlp": one.tlp, "source": ""})


def _normal(one: Indicator) -> str:
    return values.url(one.value).text if one.type == "url" else one.value


def _sourced(one: Indicator, row: dict[str, Any] | None) -> Indicator:
    if row is None:
        return one
    tlp = max([row["tlp"], *([one.tlp] if one.tlp else [])], key=LEVELS.index)
    return one.model_copy(update={"tlp": tlp, "source": row["feed"]})


def _personal_numbers(clock: Clock) -> Callable[[str], Sequence[str]]:
    """Finds resident registration and card numbers as the intake does, whatever the intake's masking is set to."""

    def found(text: str) -> Sequence[str]:
        counts = Masker(MaskingSettings(), clock).mask(text.encode()).counts
        return [name for name, kind in (("resident registration number", RRN), ("card number", CARD)) if counts.get(kind)]

    return found
