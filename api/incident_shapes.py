"""What the routes of incidents take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from api.cases import Progress, Wish
from core.instants import Instant
from respond.cases.files import LONGEST_NAME
from respond.incidents.compartment import MOST_MEMBERS
from respond.incidents.machine import State
from respond.incidents.merging import MOST_SPLIT

NUMBER: Final = r"^INC-\d{4}-\d{6,12}$"
Number = Annotated[str, Path(pattern=NUMBER, examples=["INC-2026-000001"])]
Person = Annotated[str, Field(min_length=1, max_length=64, examples=["lee"])]
"""A user's name."""
_EXAMPLE: Final[dict[str, Any]] = {
    "number": "INC-2026-000001",
    "agency": "seogu",
    "title": "SSH brute force from one address",
    "severity": "high",
    "severity_found": "high",
    "severity_by": "",
    "state": "new",
    "entity_kind": "ip",
    "entity_value": "192.0.2.7",
    "first_event_at": "2026-01-02T03:04:05Z",
    "last_event_at": "2026-01-02T03:09:41Z",
    "opened_at": "2026-01-02T03:04:06Z",
    "created_by": "system:respond",
    "updated_at": "2026-01-02T03:09:42Z",
    "detections": 41,
    "evidence_kept": 41,
    "rule_ids": ["0d894093-71bc-43c3-8c4d-ecfc28dcf5d9"],
    "tags": ["attack.credential-access", "attack.t1110"],
    "exercise": False,
    "drill": "",
    "restricted": False,
    "personal_data": False,
    "assignee": "user:lee",
    "centre_aware_at": None,
    "agency_told_at": None,
    "agency_aware_at": None,
    "cause": "",
    "impact": "",
    "seal": "",
    "merged_into": "",
    "split_from": "",
    "version": 1,
}


class Incident(BaseModel):
    """An incident. `version` counts what people decided and is the ETag; `merged_into` names the incident that absorbed this one.

    `severity_by` is who set the severity; empty: the matrix of rule level and asset importance, as `severity_found`. The awareness times
    are when the centre and the agency learned of it; that we told the agency does not replace its report under article 19(3). `seal` is
    the SHA-256 of the evidence of a closed incident.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    number: str
    agency: str
    title: str
    severity: str
    severity_found: str
    severity_by: str
    state: State
    entity_kind: str
    entity_value: str
    first_event_at: datetime
    last_event_at: datetime
    opened_at: datetime
    created_by: str
    updated_at: datetime
    detections: int
    evidence_kept: int
    rule_ids: list[str]
    tags: list[str]
    exercise: bool
    drill: str
    restricted: bool
    personal_data: bool
    assignee: str
    centre_aware_at: datetime | None
    agency_told_at: datetime | None
    agency_aware_at: datetime | None
    cause: str
    impact: str
    seal: str
    merged_into: str
    split_from: str
    version: int


class Evidence(BaseModel):
    """One finding with its line. `raw` and `fields` are null for callers who do not read raw logs; the hash proves the line anyway."""

    model_config = ConfigDict(from_attributes=True)

    detection_id: str
    event_id: str
    event_time: datetime
    received_at: datetime
    detected_at: datetime
    rule_id: str
    rule_title: str
    rule_level: str
    rule_hash: str
    raw: str | None
    raw_sha256: str
    fields: dict[str, Any] | None


class Entity(BaseModel):
    """Something the findings name, and in how many of them."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    role: str
    value: str
    detections: int


class _Added(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    author: str


class Comment(_Added):
    """What somebody had to say."""

    text: str


class Task(_Added):
    """Something to be done. `done_at` null: it is open."""

    title: str
    assignee: str
    due_at: datetime | None
    done_at: datetime | None
    done_by: str
    version: int = Field(description="The ETag")


class Attachment(_Added):
    """A file that was attached; its bytes are at `/v1/incidents/{number}/attachments/{id}`."""

    name: str
    size: int
    sha256: str


class IncidentDetail(Incident):
    """An incident with all it holds: evidence in order of event time, entities most named first, what people added, and how it went.

    `seal_holds` tells whether the evidence is still what was sealed; null: it is not sealed. `members` see it while it is restricted.
    """

    evidence: list[Evidence]
    entities: list[Entity]
    seal_holds: bool | None
    members: list[str]
    watchers: list[str]
    comments: list[Comment]
    tasks: list[Task]
    attachments: list[Attachment]
    progress: Progress


class IncidentPage(BaseModel):
    """Incidents in the order asked for. `next_cursor` is empty on the last page."""

    items: list[Incident]
    next_cursor: str


class Moment(BaseModel):
    """One thing that happened: a kept detection at the device's time (`what`: the rule's title), or a deed (`what`: the action)."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    kind: Literal["detection", "history"]
    what: str
    actor: str
    data: dict[str, Any]


class Timeline(BaseModel):
    """What happened, oldest first. `next_cursor` is empty on the last page."""

    items: list[Moment]
    next_cursor: str


class RelatedIncidents(BaseModel):
    """Incidents of the same attacker, newest first, and how many there are that the caller does not see."""

    items: list[Incident]
    elsewhere: int


class ConfirmWish(Wish):
    """When the centre learned of it; empty: now."""

    aware_at: Instant | None = None


class AcknowledgeWish(Wish):
    """When the agency learned of it; empty: now. The centre may write down what the agency said otherwise."""

    aware_at: Instant | None = None


class AssignWish(Wish):
    """Whose it is: a user's name; empty: nobody's."""

    assignee: str = Field(max_length=64, examples=["lee"])


class AssessWish(Wish):
    """What is known of cause and impact; both are needed to close."""

    cause: str = Field(max_length=4000)
    impact: str = Field(max_length=4000)


class RateWish(Wish):
    """How grave it is; empty: as the matrix has it."""

    severity: Literal["", "informational", "low", "medium", "high", "critical"]


class MarkWish(Wish):
    """Whether personal data is concerned: then the agency's privacy officer sees it."""

    personal_data: bool


class RestrictWish(Wish):
    """Who may see it from now on, beside who says so: names of users."""

    members: list[Person] = Field(max_length=MOST_MEMBERS)


class MergeWish(Wish):
    """The incident that absorbs this one."""

    into: str = Field(pattern=NUMBER, examples=["INC-2026-000001"])


class SplitWish(Wish):
    """The detections that become an incident of their own; only those whose lines are kept. `title` empty: the first one's rule."""

    detections: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(min_length=1, max_length=MOST_SPLIT)
    title: str = Field(default="", max_length=300)


class CommentWish(BaseModel):
    """What somebody has to say."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=8000)


class TaskWish(BaseModel):
    """Something to be done; `assignee` is a user's name, empty: nobody yet."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=500)
    assignee: str = Field(default="", max_length=64)
    due_at: Instant | None = None


class TaskChange(BaseModel):
    """What is to be otherwise about a task; null: as it is."""

    model_config = ConfigDict(extra="forbid")

    done: bool | None = None
    assignee: str | None = Field(default=None, max_length=64)


FileName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
