"""What the routes of personal-information cases take and give (article 19(4)); `respond.personal.disclosure` says who is given what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.cases import CaseOut, IncidentFilter, Progress, Wish
from core.instants import Instant
from respond.personal.facts import Facts, Findings
from respond.personal.letters import LetterKind
from respond.personal.packs import Recipient
from respond.personal.rules import Determination

Text = Annotated[str, Field(min_length=1, max_length=4000)]
Short = Annotated[str, Field(max_length=500)]
_AT: Final = "When it happened; empty: now"


# ---- bodies ----


class Opened(BaseModel):
    """A suspicion: about an incident, which gives agency and exercise, or of an agency alone."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"title": "Member list read from outside", "about": "INC-2026-000001"}]}
    )

    title: str = Field(min_length=1, max_length=300, description="Without anybody's name")
    about: str = Field(default="", max_length=40, description="The incident's number")
    agency: str = Field(default="", max_length=63)
    exercise: bool = Field(default=False, description="Only without an incident; with one it is the incident's")


class FactsWish(Wish):
    """The facts as they are known now, whole: what is left out is not known."""

    facts: Facts


class FindingsWish(Wish):
    """What the centre found, whole."""

    findings: Findings


class SupportWish(Wish):
    """Something the centre did for the controller."""

    kind: Literal["analysis", "advice", "containment", "evidence", "other"]
    summary: Text


class EvidenceWish(Wish):
    """The least the controller needs of the incident's evidence: `since` <= event time < `until`."""

    since: Instant
    until: Instant
    columns: list[Annotated[str, Field(max_length=40)]] = Field(
        default=["event_time", "device", "src_net", "dst_ip", "action"],
        min_length=1,
        max_length=20,
        description="Of event_time, rule_title, device, src_net, src_ip, dst_ip, dst_port, dst_system, action, bytes, user (masked), "
        "url_path, raw_sha256",
    )
    purpose: Text


class AwareWish(Wish):
    """When the controller learned of it."""

    aware_at: Instant | None = Field(default=None, description="Empty: now")


class DetermineWish(Wish):
    """What the privacy officer determined; fields that are left out stay as they are."""

    aware_at: Instant | None = Field(default=None, description="When the controller became aware; a correction needs a reason")
    determination: Determination = Determination()


class LetterWish(Wish):
    """Which letter to write."""

    letter: LetterKind


class SendWish(Wish):
    """Notices that went out to data subjects."""

    letter: int = Field(ge=1, description="Version of the letter")
    at: Instant | None = Field(default=None, description=_AT)
    method: Literal["letter", "email", "text_message", "phone", "in_person"] = "letter"
    recipients: int = Field(ge=0, le=1_000_000_000, description="How many were sent")


class InLieuWish(Wish):
    """A posting, or newspapers, in place of notices; `reason` is the good reason."""

    letter: int = Field(ge=1, description="Version of the posting")
    at: Instant | None = Field(default=None, description=_AT)
    newspapers: int = Field(default=0, ge=0, le=20, description="In how many national dailies instead of posting; 0: posted")
    address: Short = ""


class ExplainWish(Wish):
    """The reason explained in writing."""

    at: Instant | None = Field(default=None, description=_AT)
    to: Recipient
    receipt: Short = ""


class PostWish(Wish):
    """A posting that is up."""

    letter: int = Field(ge=1, description="Version of the posting")
    at: Instant | None = Field(default=None, description=_AT)
    place: Literal["website", "workplace"] = Field(default="website", description="The workplace where there is no website")
    address: Short = ""


class AtWish(Wish):
    """When something was done."""

    at: Instant | None = Field(default=None, description=_AT)


class FileWish(Wish):
    """A report that was filed; the centre files nothing."""

    letter: int = Field(ge=1, description="Version of the report")
    at: Instant | None = Field(default=None, description=_AT)
    to: list[Recipient] = Field(default=[], max_length=3)
    receipt: Short = ""


class AcceptWish(AtWish):
    """The receipt of the authority."""

    receipt: Short = ""


# ---- what is shown ----


class TrackStatus(BaseModel):
    """A track as everybody who sees the case may see it. `finding`: required, not_required or unknown."""

    track: str
    state: str
    finding: str
    version: int


class PersonalStatus(CaseOut):
    """That a case is there and how far it is; all the mayor's office is shown."""

    view: Literal["status"] = "status"
    tracks: list[TrackStatus]


class PersonalTrackOut(CaseOut):
    """A track. `rules` are those of the pack that ask for it, `why` the reason in both languages, `given` the proofs."""

    track: str
    finding: str
    rules: list[str]
    why: dict[str, str]
    given: dict[str, Any]


class TrackDetail(PersonalTrackOut):
    """A track with how it went."""

    progress: Progress


class LetterOut(BaseModel):
    """A letter without its text. `missing` are the items it could not tell."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    version: int
    made_at: datetime
    made_by: str
    pack: str
    missing: list[str]
    sha256: str


class LetterText(LetterOut):
    """A letter."""

    text_ko: str
    text_en: str


class PersonalRedacted(CaseOut):
    """Dates, counts, tracks and hashes of a case, without free text; what auditors are shown."""

    view: Literal["redacted"] = "redacted"
    about: str
    possible_at: datetime | None
    aware_at: datetime | None
    pack: str
    determination: Determination
    missing: list[str]
    tracks: list[TrackDetail]
    letters: list[LetterOut]
    progress: Progress


class SupportOut(BaseModel):
    """Something the centre gave. With a `package_sha256`, `/support/{id}/package` is the zip."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    actor: str
    kind: str
    summary: str
    package_sha256: str


class PersonalCase(CaseOut):
    """A case as its steps answer. `missing` are the five items not known yet."""

    about: str
    title: str
    possible_at: datetime | None
    aware_at: datetime | None
    pack: str
    facts: Facts
    findings: Findings
    determination: Determination
    missing: list[str]


class PersonalDetail(PersonalCase):
    """A case in full."""

    view: Literal["full"] = "full"
    tracks: list[TrackDetail]
    letters: list[LetterOut]
    support: list[SupportOut]
    progress: Progress


class Wanted(IncidentFilter):
    """Which cases to list."""

    agency: str = Field(default="", max_length=63)
    about: str = Field(default="", max_length=40)
