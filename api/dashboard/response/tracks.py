"""The tracks of a personal-information case, each with its own state, clocks and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import panel, tag_html
from api.dashboard.response import lookups
from api.dashboard.response.progress import clock_html, happened_html
from api.dashboard.response.shown import Showing
from api.dashboard.steps.bar import StepBar, Subject
from api.dashboard.steps.entries import Choices
from api.dashboard.steps.names import state_html, value_name
from respond.personal.machine import TRACKS
from respond.personal.packs import Track


def tracks(page: Any, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """A panel for each track; who sees the status alone is shown no more than that."""
    t = page.visitor.t
    if not found:
        return
    if "progress" not in found[0]:
        with panel(page.showing.name(name)):
            rows = "".join(
                f"<div><dt>{escape(value_name(t, 'track', one['track']))}</dt>"
                f"<dd>{state_html(t, TRACKS[Track(one['track'])].kind, one['state'])}</dd></div>"
                for one in found
            )
            ui.html(rows, tag="dl", sanitize=False).classes("facts")
        return
    for one in found:
        _track(page, one)


def _again(name: str, case: Mapping[str, Any]) -> Mapping[str, Any]:
    """A track out of its case as it was read."""
    found: Mapping[str, Any] = next(one for one in case["tracks"] if one["track"] == name)
    return found


def _track(page: Any, track: Mapping[str, Any]) -> None:
    visitor, machine = page.visitor, TRACKS[Track(track["track"])]
    t, showing = visitor.t, Showing(page.visitor, machine.kind, {})
    with panel(value_name(t, "track", track["track"])) as head:
        with head:
            ui.html(
                f"{state_html(t, machine.kind, track['state'])} {tag_html(value_name(t, 'finding', track['finding']))}", sanitize=False
            ).classes("note")
        parts = [
            f"<p>{escape(showing.both(track['why']))}</p>" if track["why"] else "",
            f'<ul class="clocks">{"".join(clock_html(t, machine.kind, one) for one in track["progress"]["clocks"])}</ul>',
            showing.html("given", track["given"]) if track["given"] else "",
        ]
        ui.html("".join(parts), sanitize=False).classes("panel-body")

        async def choices(subject: Subject, action: str) -> Choices:
            return lookups.of_step(visitor, {}, subject, action)

        record = {**track, "letters": page.record.get("letters", [])}
        path = f"{page.path}/tracks/{track['track']}"
        pick = partial(_again, track["track"])
        StepBar(visitor, page.refresh, choices=choices).show(Subject(machine, path, page.path, record, track["progress"]["steps"], pick))
        with ui.element("details").classes("version"):
            ui.html(escape(t("History")), tag="summary", sanitize=False)
            items = "".join(happened_html(t, machine.kind, one) for one in reversed(track["progress"]["history"]))
            ui.html(items, tag="ol", sanitize=False).classes("happened")
