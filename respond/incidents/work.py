"""What people add to an incident beside its steps: comments, tasks, files, and that they watch it.

Each is told in the incident's history and in the trail, without its words, and changes neither state nor version; so nobody's work is
refused because somebody wrote a comment. Who listens for changes hears of it. It may be added whatever the state, but not to an incident
that was merged into another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from core.database import insert_into, now
from core.errors import Conflict, NotFound
from core.versions import check_seen
from respond.cases import records
from respond.cases.files import checked_name
from respond.incidents import news
from respond.incidents.machine import MACHINE
from respond.incidents.models import IncidentAttachment, IncidentComment, IncidentPerson, IncidentTask, Part
from respond.incidents.sight import Sight, visible
from respond.models import Incident

MOST: Final = 1000
"""Comments, tasks and files an incident has, each."""

Added = TypeVar("Added", IncidentComment, IncidentTask, IncidentAttachment)


def comment(session: Session, sight: Sight, actor: str, number: str, text: str) -> IncidentComment:
    """Say something."""
    incident = _working(session, sight, number)
    return _add(session, incident, actor, "comment", IncidentComment(text=text, **_by(session, incident, actor)))


def add_task(session: Session, sight: Sight, actor: str, number: str, title: str, assignee: str, due_at: datetime | None) -> IncidentTask:
    """Write down something to be done."""
    incident = _working(session, sight, number)
    due_at = due_at.astimezone(UTC) if due_at else None
    row = IncidentTask(title=title, assignee=assignee, due_at=due_at, done_at=None, done_by="", **_by(session, incident, actor))
    return _add(session, incident, actor, "add_task", row)


def change_task(
    session: Session,
    sight: Sight,
    actor: str,
    number: str,
    task_id: int,
    *,
    done: bool | None = None,
    assignee: str | None = None,
    seen: int | None = None,
) -> IncidentTask:
    """Say that a task is done, or is open again, or whose it is; what is so already changes nothing. Stale unless of version `seen`."""
    incident = _working(session, sight, number)
    query = sa.select(IncidentTask).where(IncidentTask.incident_id == incident.id, IncidentTask.id == task_id).with_for_update()
    row = session.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise NotFound(f"{number} has no task {task_id}")
    check_seen(f"the task {task_id}", row.version, seen)
    if assignee is not None and assignee != row.assignee:
        row.assignee, row.version = assignee, row.version + 1
        records.note(session, MACHINE, incident, actor, "assign_task", {"task": row.id, "assignee": assignee})
        incident.updated_at = now(session)
    if done is not None and done != (row.done_at is not None):
        (row.done_at, row.done_by), row.version = (now(session), actor) if done else (None, ""), row.version + 1
        records.note(session, MACHINE, incident, actor, "do_task" if done else "undo_task", {"task": row.id})
        incident.updated_at = now(session)
    session.flush()
    return row


def task(session: Session, incident: Incident, task_id: int) -> IncidentTask:
    """A task; NotFound when the incident has none of that number."""
    row = session.scalar(sa.select(IncidentTask).where(IncidentTask.incident_id == incident.id, IncidentTask.id == task_id))
    if row is None:
        raise NotFound(f"{incident.number} has no task {task_id}")
    return row


def attach(session: Session, sight: Sight, actor: str, number: str, name: str, content: bytes) -> IncidentAttachment:
    """Keep a file. The same bytes under the same name are kept once."""
    name = checked_name(name)
    incident, sha256 = _working(session, sight, number), hashlib.sha256(content).hexdigest()
    same = sa.and_(IncidentAttachment.incident_id == incident.id, IncidentAttachment.name == name, IncidentAttachment.sha256 == sha256)
    if known := session.scalar(sa.select(IncidentAttachment).where(same)):
        return known
    row = IncidentAttachment(name=name, size=len(content), sha256=sha256, content=content, **_by(session, incident, actor))
    return _add(session, incident, actor, "attach", row, sha256=sha256, size=len(content))


def attachment(session: Session, incident: Incident, attachment_id: int) -> IncidentAttachment:
    """A file with its content; NotFound when the incident has none of that number."""
    query = sa.select(IncidentAttachment).where(IncidentAttachment.incident_id == incident.id, IncidentAttachment.id == attachment_id)
    row = session.scalar(query.options(undefer(IncidentAttachment.content)))
    if row is None:
        raise NotFound(f"{incident.number} has no attachment {attachment_id}")
    return row


def watch(session: Session, sight: Sight, actor: str, number: str, *, on: bool) -> None:
    """Watch an incident, or no more; what is so already changes nothing."""
    incident = _working(session, sight, number)
    own = {"incident_id": incident.id, "part": Part.WATCHER.value, "person": actor}
    if on:
        insert = insert_into(session, IncidentPerson).values(**own, at=now(session), added_by=actor).on_conflict_do_nothing()
        changed = session.execute(insert.returning(IncidentPerson.person)).first()
    else:
        conditions = [getattr(IncidentPerson, name) == value for name, value in own.items()]
        changed = session.execute(sa.delete(IncidentPerson).where(*conditions).returning(IncidentPerson.person)).first()
    if changed:
        records.note(session, MACHINE, incident, actor, "watch" if on else "unwatch", {})


def comments(session: Session, incident: Incident) -> Sequence[IncidentComment]:
    """Oldest first."""
    query = sa.select(IncidentComment).where(IncidentComment.incident_id == incident.id)
    return session.scalars(query.order_by(IncidentComment.id)).all()


def tasks(session: Session, incident: Incident) -> Sequence[IncidentTask]:
    """Oldest first."""
    return session.scalars(sa.select(IncidentTask).where(IncidentTask.incident_id == incident.id).order_by(IncidentTask.id)).all()


def attachments(session: Session, incident: Incident) -> Sequence[IncidentAttachment]:
    """Without their content, oldest first."""
    query = sa.select(IncidentAttachment).where(IncidentAttachment.incident_id == incident.id)
    return session.scalars(query.order_by(IncidentAttachment.id)).all()


def people(session: Session, incident: Incident, part: Part) -> Sequence[str]:
    """Who watches an incident, or is a member of its compartment."""
    query = sa.select(IncidentPerson.person).where(IncidentPerson.incident_id == incident.id, IncidentPerson.part == part.value)
    return session.scalars(query.order_by(IncidentPerson.person)).all()


def _working(session: Session, sight: Sight, number: str) -> Incident:
    """The incident, locked so that it is not merged meanwhile."""
    query = sa.select(Incident).where(Incident.number == number, visible(sight)).with_for_update()
    incident = session.scalar(query.execution_options(populate_existing=True))
    if incident is None:
        raise NotFound(f"there is no incident {number}")
    if incident.merged_into_id is not None:
        raise Conflict(f"{number} was merged into {session.get_one(Incident, incident.merged_into_id).number}: act on that")
    return incident


def _by(session: Session, incident: Incident, actor: str) -> dict[str, Any]:
    return {"incident_id": incident.id, "at": now(session), "author": actor}


def _add(session: Session, incident: Incident, actor: str, action: str, row: Added, **told: object) -> Added:
    kind = type(row)
    if (session.scalar(sa.select(sa.func.count()).where(kind.incident_id == incident.id)) or 0) >= MOST:
        raise Conflict(f"{incident.number} has {MOST} of these already")
    session.add(row)
    session.flush()
    records.note(session, MACHINE, incident, actor, action, {"id": row.id, **told})
    incident.updated_at = row.at
    news.tell(session, [incident], action)
    return row
