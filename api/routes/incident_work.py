"""What people add to an incident: comments, tasks, files, watching. The incident stays as it is; a task has a version of its own."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from api import disclosure, files, paging
from api.auth.dependencies import Allowed, TheCentre
from api.auth.users import known_actor
from api.centre import Centre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from api.incident_shapes import Attachment, Comment, CommentWish, FileName, Number, Task, TaskChange, TaskWish
from core.errors import Forbidden
from core.permissions import Action, Principal
from respond.incidents import queries, work
from respond.incidents.sight import Sight

router = APIRouter(prefix="/v1/incidents/{number}", tags=["incidents"])

Reader = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_WRITE))]
_LIMIT: Final = "respond.incidents.attachment_mb"


@router.post("/comments", status_code=201, summary="Comment on an incident")
def comment(number: Number, wish: CommentWish, caller: Writer, centre: TheCentre) -> Comment:
    """Say something; it is never changed or removed."""
    with centre.database.session() as session:
        return Comment.model_validate(work.comment(session, _sight(caller), caller.actor, number, wish.text))


@router.post("/tasks", status_code=201, summary="Add a task to an incident")
def add_task(number: Number, wish: TaskWish, response: Response, caller: Writer, centre: TheCentre) -> Task:
    """Write down something to be done."""
    with centre.database.session() as session:
        assignee = _person(session, wish.assignee)
        task = Task.model_validate(work.add_task(session, _sight(caller), caller.actor, number, wish.title, assignee, wish.due_at))
    set_etag(response, task.version)
    return task


@router.get("/tasks/{task_id}", summary="Read a task of an incident")
def read_task(number: Number, task_id: paging.RowNumber, response: Response, caller: Reader, centre: TheCentre) -> Task:
    """One task, as the incident shows it."""
    with centre.database.session(readonly=True) as session:
        task = Task.model_validate(work.task(session, queries.find(session, disclosure.sight(caller), number), task_id))
    set_etag(response, task.version)
    return task


@router.patch("/tasks/{task_id}", summary="Change a task of an incident", responses=CONDITIONAL)
def change_task(
    number: Number,
    task_id: paging.RowNumber,
    wish: TaskChange,
    caller: Writer,
    centre: TheCentre,
    version: SeenVersion,
    response: Response,
) -> Task:
    """Say that a task is done or open again, or whose it is. What is so already changes nothing."""
    with centre.database.session() as session:
        assignee = None if wish.assignee is None else _person(session, wish.assignee)
        row = work.change_task(session, _sight(caller), caller.actor, number, task_id, done=wish.done, assignee=assignee, seen=version)
        task = Task.model_validate(row)
    set_etag(response, task.version)
    return task


@router.post("/attachments", status_code=201, summary="Attach a file to an incident", openapi_extra=files.upload(_LIMIT))
async def attach(request: Request, number: Number, name: Annotated[FileName, Query()], caller: Writer, centre: TheCentre) -> Attachment:
    """Keep a file with the incident, under its SHA-256. The same bytes under the same name are kept once."""
    content = await files.received(request, centre.settings.respond.incidents.attachment_mb, _LIMIT)
    return await asyncio.to_thread(_attach, centre, caller, number, name, content)


@router.get(
    "/attachments/{attachment_id}",
    summary="Download a file of an incident",
    response_class=Response,
    responses=files.DOWNLOAD,
)
def download(number: Number, attachment_id: paging.RowNumber, caller: Reader, centre: TheCentre) -> Response:
    """The file's bytes, always as a download and never of a type a browser would open. For callers who read the agency's raw logs."""
    with centre.database.session(readonly=True) as session:
        incident = queries.find(session, disclosure.sight(caller), number)
        if not disclosure.reads_raw_logs(caller, incident.agency):
            raise Forbidden("files may hold raw logs, which this identity does not read: its SHA-256 is shown with the incident")
        row = work.attachment(session, incident, attachment_id)
    disclosure.note_read(centre.database, caller, incident, f"attachment {attachment_id}")
    return files.download(row.name, row.sha256, row.content)


@router.put("/watch", status_code=204, summary="Watch an incident")
def watch(number: Number, caller: Reader, centre: TheCentre) -> None:
    """Be told what happens to it."""
    _watch(centre, caller, number, on=True)


@router.delete("/watch", status_code=204, summary="Watch an incident no more")
def unwatch(number: Number, caller: Reader, centre: TheCentre) -> None:
    """Be told no more."""
    _watch(centre, caller, number, on=False)


def _attach(centre: Centre, caller: Principal, number: str, name: str, content: bytes) -> Attachment:
    with centre.database.session() as session:
        return Attachment.model_validate(work.attach(session, _sight(caller), caller.actor, number, name, content))


def _watch(centre: Centre, caller: Principal, number: str, *, on: bool) -> None:
    with centre.database.session() as session:
        work.watch(session, disclosure.sight(caller), caller.actor, number, on=on)


def _sight(caller: Principal) -> Sight:
    return disclosure.sight(caller, Action.INCIDENTS_WRITE)


def _person(session: Session, name: str) -> str:
    return known_actor(session, name) if name else ""
