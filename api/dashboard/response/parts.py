"""Parts of cases that need more than a table of their fields: checklists, tracks, rosters, versions, files, letters.

`PARTS` says which part shows which field of which kind ('' for every kind; a field '' comes after all others).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any, Final, Protocol

from nicegui import ui

from api.dashboard.elements import panel, text, time_html
from api.dashboard.response.grounds import grounds
from api.dashboard.response.kinds import link_of
from api.dashboard.response.letters import letters
from api.dashboard.response.log import duty_log
from api.dashboard.response.progress import Shown, happened_html, quiet
from api.dashboard.response.shown import Showing
from api.dashboard.response.tracks import tracks
from api.dashboard.response.uploads import files
from api.dashboard.steps.bar import StepBar
from api.dashboard.steps.names import law_name, state_html, value_name
from api.dashboard.texts import number

_MARKS: Final = {"done": "check_circle", "not_applicable": "do_not_disturb_on", "": "radio_button_unchecked"}


class Page(Shown, Protocol):
    """The page a part stands on."""

    bar: StepBar

    def offers(self, action: str) -> bool:
        """Whether the visitor may take a step now."""
        ...

    @property
    def path(self) -> str:
        """Where the case is in the API."""
        ...

    async def refresh(self) -> None:
        """Look at the case anew and show it."""
        ...


Part = Callable[[Any, str, Any], None]


def checklist(page: Page, name: str, measures: Sequence[Mapping[str, Any]]) -> None:
    """Measures or subjects, each with what became of it, and a button to tick it off."""
    t = page.visitor.t
    left = sum(not one["outcome"] for one in measures)
    told = t("{done} of {all} done", done=len(measures) - left, all=len(measures))
    with panel(page.showing.name(name), told if measures else ""):
        if not measures:
            quiet(t("Nothing is to be done at this level."))
        with ui.element("ul").classes("checklist"):
            for one in measures:
                with ui.element("li").classes(f"is-{one['outcome'] or 'open'}"):
                    ui.html(_measure(page.showing, one), sanitize=False).classes("measure")
                    if page.offers("prove"):
                        label = t("Change") if one["outcome"] else t("Tick off")
                        tick = ui.button(
                            label, on_click=partial(page.bar.take, "prove", {"measure": one["id"], "applies": True}, ["measure"])
                        )
                        tick.props("outline dense no-caps").props["aria-label"] = f"{label}: {page.showing.both(one)}"


def _measure(showing: Showing, one: Mapping[str, Any]) -> str:
    t = showing.t
    outcome = value_name(t, "outcome", one["outcome"])
    law = f' <span class="soft">{escape(law_name(t, one["law"]))}</span>' if one.get("law") else ""
    said = (
        f'<p>{escape(one["proof"])}</p><div class="soft">{time_html(one["at"])} · {escape(one["by"].partition(":")[2])}</div>'
        if one["proof"]
        else ""
    )
    mark = f'<i class="material-icons" aria-hidden="true">{_MARKS[one["outcome"]]}</i>'
    return f'{mark}<div><b>{escape(showing.both(one))}</b>{law} <span class="outcome">{escape(outcome)}</span>{said}</div>'


def notices(page: Page, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """The agencies a warning was passed on to: who acknowledged, how far the measures are."""
    t = page.visitor.t
    seen = sum(one["acknowledged_at"] is not None for one in found)
    with panel(page.showing.name(name), t("{seen} of {all} acknowledged", seen=seen, all=len(found)) if found else ""):
        if not found:
            quiet(t("It has not been passed on to any agency yet."))
            return
        rows = "".join(_notice(page, one) for one in found)
        columns = (t("Agency"), t("State"), t("Acknowledged"), t("Measures"))
        ui.html(_table(columns, rows), sanitize=False).classes("scroll").props("tabindex=0")


def _notice(page: Page, one: Mapping[str, Any]) -> str:
    ticked = sum(bool(measure["outcome"]) for measure in one["measures"])
    link = f'<a href="{link_of(one["number"])}">{escape(page.visitor.agency_name(one["agency"]))}</a>'
    return (
        f"<tr><td>{link}</td><td>{state_html(page.visitor.t, 'warning_notice', one['state'])}</td>"
        f'<td class="num">{time_html(one["acknowledged_at"])}</td><td class="num">{ticked}/{len(one["measures"])}</td></tr>'
    )


def roster(page: Page, name: str, members: Sequence[Mapping[str, Any]]) -> None:
    """Who is on a team, and who answered the call."""
    t = page.visitor.t
    with panel(page.showing.name(name)):
        if not members:
            quiet(t("Nobody is nominated yet."))
            return
        rows = "".join(
            f'<tr><td>{page.showing.word("role", one["role"])}</td><td><a href="{link_of(one["number"])}">{escape(one["name"])}</a></td>'
            f"<td>{escape(page.visitor.agency_name(one['agency']) if one['agency'] else one['organisation']) or '–'}</td>"
            f"<td>{state_html(t, 'team_member', one['state'])}</td>"
            f'<td class="num">{time_html(one["called_at"])}</td><td class="num">{time_html(one["answered_at"])}</td></tr>'
            for one in members
        )
        columns = (t("Role"), t("Name"), t("Belongs to"), t("State"), t("Called"), t("Answered"))
        ui.html(_table(columns, rows), sanitize=False).classes("scroll").props("tabindex=0")


def linked(page: Page, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Cases that belong to this one, with the way to each."""
    if not found:
        return
    t = page.visitor.t
    with panel(page.showing.name(name)):
        rows = "".join(
            f'<tr><td><a href="{link_of(one["number"])}">{escape(page.visitor.agency_name(one["agency"]))}</a></td>'
            f"<td>{state_html(t, 'share_receipt', one['state'])}</td>"
            f'<td class="num">{time_html(one["received_at"])}</td><td class="num">{time_html(one["replied_at"])}</td></tr>'
            for one in found
        )
        ui.html(_table((t("Agency"), t("State"), t("Received"), t("Answered")), rows), sanitize=False).classes("scroll").props("tabindex=0")


def versions(page: Page, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """What was submitted, each time; nothing changes one. The newest content is above already."""
    t = page.visitor.t
    if not found:
        return
    with panel(page.showing.name(name), t("What was submitted is never changed.")):
        for one in reversed(found):
            title = t("Version {number}: {kind}", number=one["number"], kind=value_name(t, "kind", one["kind"]))
            with ui.element("details").classes("version"):
                by = escape(one["submitted_by"].partition(":")[2])
                when = f'<span class="soft">{time_html(one["submitted_at"])} · {by}</span>'
                ui.html(f"{escape(title)} {when}", tag="summary", sanitize=False)
                ui.html(page.showing.html("content", one["content"]), sanitize=False).classes("panel-body")
                text("p", f"SHA-256 {one['sha256']}", "mono soft")


def custody(page: Page, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """The chain of custody: what was taken and who had it since."""
    if not found:
        return
    broken = page.record["broken_link"]
    t = page.visitor.t
    told = t("The chain is broken at link {number}.", number=broken) if broken else t("The chain is whole.")
    with panel(page.showing.name(name), told):
        columns = ("item", "description", "holder", "place", "at", "intact", "evidence_sha256")
        ui.html(page.showing.table(found, columns), sanitize=False)


def counted(page: Page, name: str, states: Mapping[str, int]) -> None:
    """How many duties of a campaign are in which state; it has none before it is started."""
    if not states:
        return
    t = page.visitor.t
    with panel(page.showing.name(name)):
        rows = "".join(
            f'<a class="card" href="/response/duties?state={escape(state, quote=True)}">'
            f'<span class="name">{state_html(t, "duty", state)}</span>'
            f'<span class="value">{number(count)}</span></a>'
            for state, count in states.items()
        )
        ui.html(rows, sanitize=False).classes("cards inside")
        behind = page.record["overdue"]
        if behind:
            names = ", ".join(page.visitor.agency_name(one) if one else t("the centre") for one in behind)
            text("p", t("Overdue: {agencies}", agencies=names), "notice late")


def score(page: Page, name: str, found: Mapping[str, Any] | None) -> None:
    """How a drill went, agency by agency."""
    if not found:
        return
    t = page.visitor.t
    with panel(
        page.showing.name(name),
        t("{found} of {expected} found, {in_time} in time", **{k: found[k] for k in ("found", "expected", "in_time")}),
    ):
        rows = [{**one, "finds": f"{sum(find['found'] for find in one['finds'])}/{len(one['finds'])}"} for one in found["agencies"]]
        columns = ("agency", "role", "sent", "finds", "detect_seconds", "triage_seconds", "report_seconds", "incidents")
        ui.html(page.showing.table(rows, columns), sanitize=False)


def drill_report(page: Page, _name: str, _none: None) -> None:
    """The after-action report, to take away."""
    if page.record.get("score"):
        language = page.visitor.t.language
        downloads(page, [(f"{page.path}/report?format=pdf&language={language}", "PDF"), (f"{page.path}/report?format=json", "JSON")])


def share_bundle(page: Page, _name: str, _none: None) -> None:
    """The signed STIX bundle, to take away."""
    downloads(page, [(f"{page.path}/bundle", "STIX 2.1")])


def downloads(page: Page, found: Sequence[tuple[str, str]]) -> None:
    """Files the API gives of this case."""
    t = page.visitor.t
    with panel(t("To download")):
        links = "".join(f'<a class="tool" href="{escape(path, quote=True)}" download>{escape(form)}</a>' for path, form in found)
        ui.html(links, sanitize=False).classes("panel-body downloads")


def reply(page: Page, name: str, found: Mapping[str, Any]) -> None:
    """What was answered, in the words of the step that answered."""
    if not found:
        return
    with panel(page.showing.name(name)):
        told = {field: value for field, value in found.items() if value not in ("", None, [])}
        if "action" in told:
            ui.html(
                f'<ol class="happened">{happened_html(page.visitor.t, page.kind.machine.kind, _as_history(page, told))}</ol>',
                sanitize=False,
            )
            told = {field: value for field, value in told.items() if field not in ("action", "reason")}
        if told:
            ui.html(page.showing.html(name, told), sanitize=False).classes("panel-body")


def _as_history(page: Page, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step of the history that answered, for when and by whom."""
    taken = [one for one in page.record["progress"]["history"] if one["action"] == told["action"]]
    return (
        taken[-1]
        if taken
        else {"action": told["action"], "before": "", "after": "", "at": None, "actor": "", "reason": told.get("reason", "")}
    )


def _table(columns: Sequence[str], rows: str) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


PARTS: Final[Mapping[tuple[str, str], Part]] = {
    ("", "measures"): checklist,
    ("duties", "subjects"): checklist,
    ("warnings", "notices"): notices,
    ("teams", "members"): roster,
    ("teams", ""): duty_log,
    ("reports", "submitted"): versions,
    ("investigations", "custody"): custody,
    ("campaigns", "duties"): counted,
    ("drills", "score"): score,
    ("readiness", "evidence"): grounds,
    ("drills", ""): drill_report,
    ("shares", "receipts"): linked,
    ("shares", ""): share_bundle,
    ("receipts", ""): share_bundle,
    ("requests", "reply"): reply,
    ("personal", "tracks"): tracks,
    ("personal", "letters"): letters,
    ("duties", "files"): files,
}
