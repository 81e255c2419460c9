"""One rule: what it detects and becomes, how it does, where it can fire, what is changed about it, and how it came to be."""

from __future__ import annotations

import asyncio
import uuid
from html import escape
from typing import Any, Final

import yaml
from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, facts, panel, severity_html, state_html, tag_html, text, time_html
from api.dashboard.frame import frame
from api.dashboard.rules import attack, effects, hits_chart, reading, views
from api.dashboard.rules.silences_view import SilenceList, ask_button
from api.dashboard.rules.tunings import Tunings
from api.dashboard.telling import telling
from api.dashboard.texts import Texts, number, share
from api.dashboard.visitor import Visitor
from core.permissions import Action
from detect.drafts import written

_DAYS: Final = 30
_LATER: Final = 0.2  # seconds; where it can fire is asked of the store after the page stands


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/rules/{rule_id}", response_timeout=views.READY_SECONDS)
    async def rule(request: Request, rule_id: str) -> None:
        visitor = await Visitor.of(request)
        try:
            page = RulePage(visitor, rule_id)
            await page.build()
        except Refused as error:
            views.refused(visitor, visitor.t("Rule"), error)


class RulePage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, rule_id: str) -> None:
        self._visitor = visitor
        self._path = f"/v1/rules/{rule_id}"

    async def build(self) -> None:
        """Read and show. Refused when there is no such rule, or the visitor may not."""
        visitor, t, api = self._visitor, self._visitor.t, self._visitor.api
        self._rule = (await api.get(self._path)).body
        source, days, history = await asyncio.gather(
            api.get(f"{self._path}/source"), api.get(f"{self._path}/hits", days=_DAYS), api.get(f"{self._path}/history")
        )
        self._source = source.body
        reads_incidents = visitor.principal.may(Action.INCIDENTS_READ)
        incidents = (await api.get(f"{self._path}/incidents")).body["items"] if reads_incidents else []
        levels = await effects.names(visitor, self._rule)
        with frame(visitor, reading.title_of(visitor, self._rule)):
            views.back(visitor)
            self._head()
            self._facts()
            with ui.element("div").classes("columns rule-columns"):
                with ui.element("div").classes("stack"):
                    hits_chart.show(t, days.body["items"])
                    self._says()
                    self._where()
                    self._history(history.body["items"])
                with ui.element("div").classes("stack"):
                    self._tunings = Tunings(visitor, self._rule, levels, self.refresh)
                    with panel(t("Silences")) as head:
                        self._silences = SilenceList(visitor, self._rule["rule_id"])
                        with head:
                            ask_button(visitor, self._rule["rule_id"], self._silences.refresh, self._rule["suggested_silence"])
                    self._incidents(incidents)
        await self._silences.refresh()

    async def refresh(self) -> None:
        """Bring what people change up to date."""
        with telling(self._visitor):
            self._tunings.show((await self._visitor.api.get(self._path)).body)
            await self._silences.refresh()

    def _head(self) -> None:
        visitor, t, rule = self._visitor, self._visitor.t, self._rule
        tags = "".join(tag_html(t.word("rule_class", one)) for one in rule["classes"])
        known = (f"{one} {attack.name_of(one)}".strip() for one in attack.techniques_of(rule["tags"]))
        tags += "".join(tag_html(one) for one in known)
        ui.html(
            f'<div class="line">{severity_html(visitor, rule["level"])}<span class="tag">{escape(t.word("rule_kind", rule["kind"]))}</span>'
            f"{tags}</div><h1>{escape(reading.title_of(visitor, rule))}</h1>",
            sanitize=False,
        ).classes("incident-head")
        told = rule["words"].get(f"description_{t.language}") or rule["description"]
        if told:
            text("p", str(told), "told")
        if advice := rule["words"].get(f"response_{t.language}"):
            text("p", t("What to do: {advice}", advice=advice), "told")
        with ui.element("div").classes("tools"):
            if visitor.principal.may(Action.HUNTS_RUN):
                ui.html(
                    f'<a class="tool" href="/hunt?rule={escape(rule["rule_id"], quote=True)}">{escape(t("Run over history"))}</a>',
                    sanitize=False,
                )
            if rule["draft"]:
                ui.html(f'<a class="tool" href="/rules/drafts/{rule["draft"]}">{escape(rule["draft"])}</a>', sanitize=False)
            if visitor.principal.may(Action.RULES_WRITE):
                ui.button(t("Change in a draft"), icon="edit", on_click=self._change, color=None).props("flat no-caps dense")
                ui.button(t("Copy as a new rule"), icon="content_copy", on_click=self._copy, color=None).props("flat no-caps dense")

    async def _change(self) -> None:
        await views.begin(self._visitor, self._source["yaml"], f"rule/{self._rule['rule_id']}")

    async def _copy(self) -> None:
        document = yaml.safe_load(self._source["yaml"])
        document |= {"id": str(uuid.uuid4()), "related": [{"id": self._rule["rule_id"], "type": "derived"}]}
        document.pop("name", None)
        await views.begin(self._visitor, written(document), f"rule/{self._rule['rule_id']}")

    def _facts(self) -> None:
        t, rule = self._visitor.t, self._rule
        agencies = rule["agencies"]
        true, false = (sum(one[name] for one in agencies) for name in ("true_positives", "false_positives"))
        last = max((one["last_at"] for one in agencies if one["last_at"]), default="")
        shown = (
            (t("Hits in 30 days"), number(sum(one["detections"] for one in agencies))),
            (t("Last hit"), time_html(last)),
            (t("Incidents in 30 days"), number(sum(one["incidents"] for one in agencies))),
            (t("False alarms of the decided"), f"{share(false, true + false)} ({false}/{true + false})" if true + false else "–"),
            (t("Stands in"), f'<span class="mono">{escape(rule["file"].rpartition("/")[2])}:{rule["line"]}</span>'),
            (t("Version"), f'<span class="mono">{escape(rule["hash"])}</span>'),
            (t("Id"), f'<span class="mono">{escape(rule["rule_id"])}</span>'),
        )
        with ui.element("section").classes("panel"):
            facts(shown)

    def _says(self) -> None:
        t, source = self._visitor.t, self._source
        with panel(t("What it says"), t("without comments")):
            ui.html(f"<code>{escape(source['yaml'])}</code>", tag="pre", sanitize=False).classes("yaml").props(
                f'tabindex=0 role=region aria-label="{t("What it says")}"'
            )
            for one in source["filters"]:
                text("p", t("A filter lies over it:"), "lead")
                ui.html(f"<code>{escape(one)}</code>", tag="pre", sanitize=False).classes("yaml").props("tabindex=0")
        with panel(t("What it becomes"), t("the expression that is checked on every event")):
            becomes(t, source)

    def _where(self) -> None:
        t = self._visitor.t
        with panel(t("Can this fire here?"), t("by the lines of the last 24 hours")):
            place = ui.element("div").props("role=status")
            with place:
                text("p", t("Looking at what the sources sent ..."), "lead soft")

        async def look() -> None:
            with telling(self._visitor):
                found = (await self._visitor.api.get("/v1/rules/coverage", hours=24)).body["agencies"]
                place.clear()
                with place:
                    ui.html(where_html(self._visitor, self._told_of(found)), tag="ul", sanitize=False).classes("where")

        ui.timer(_LATER, look, once=True)

    def _told_of(self, agencies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rule_id = self._rule["rule_id"]
        found = []
        for one in agencies:
            because = next((reason["because"] for reason in one["cannot"] if rule_id in reason["rules"]), "")
            found.append({"agency": one["agency"], "can": not because, "because": because})
        return found

    def _incidents(self, found: list[dict[str, Any]]) -> None:
        visitor, t = self._visitor, self._visitor.t
        with panel(t("Recent incidents")):
            if not found:
                empty(t("No incident of this rule."), t("They appear here as soon as it opens one."))
                return
            items = "".join(
                f'<li><a href="/incidents/{escape(one["number"])}">{escape(one["number"])}</a> {severity_html(visitor, one["severity"])} '
                f"{state_html(visitor, 'state', one['state'])}<br>{escape(visitor.agency_name(one['agency']))} "
                f'<span class="soft">{time_html(one["opened_at"], visitor.centre.clock.now())}</span></li>'
                for one in found
            )
            ui.html(items, tag="ul", sanitize=False).classes("short-list")

    def _history(self, found: list[dict[str, Any]]) -> None:
        visitor, t = self._visitor, self._visitor.t
        with panel(t("History"), t("what ran, and what was changed")):
            items = "".join(_change(visitor, one) for one in found)
            ui.html(items, tag="ol", sanitize=False).classes("history")


def becomes(t: Texts, source: dict[str, Any]) -> None:
    """What a rule becomes: its expression, and what it looks at."""
    if not source["condition"]:
        members = ", ".join(source["members"]) or "–"
        text("p", t("A correlation: it counts the matches of {rules}.", rules=members), "lead")
        return
    pairs = [
        (t("Columns it reads"), f'<span class="mono">{escape(", ".join(source["columns"]))}</span>'),
        (t("Looked for first"), f'<span class="mono">{escape(", ".join(source["looked_for"]))}</span>' if source["looked_for"] else "–"),
    ]
    if source["unknown"]:
        pairs.append((t("Fields no event has"), f'<span class="mono">{escape(", ".join(source["unknown"]))}</span>'))
    facts(pairs)
    ui.html(f"<code>{escape(source['condition'])}</code>", tag="pre", sanitize=False).classes("yaml wraps").props("tabindex=0")


def where_html(visitor: Visitor, agencies: list[dict[str, Any]]) -> str:
    """Whether it can fire at each agency, as items of a list."""
    t = visitor.t
    items = []
    for one in agencies:
        word = t("can fire") if one["can"] else t("cannot fire")
        because = f"<small>{escape(reading.because(visitor, one['because']))}</small>" if one["because"] else ""
        items.append(
            f'<li><b>{escape(visitor.agency_name(one["agency"]))}</b> <span class="rule-verdict is-{"yes" if one["can"] else "no"}">'
            f"{escape(word)}</span>{because}</li>"
        )
    return "".join(items) or f"<li>{escape(t('No agency is known.'))}</li>"


def said_html(t: Texts, said: str) -> str:
    """What a version said, to be opened."""
    return f"<details><summary>{escape(t('What it said'))}</summary><pre class='yaml' tabindex='0'>{escape(said)}</pre></details>"


def _change(visitor: Visitor, one: dict[str, Any]) -> str:
    t, data = visitor.t, one["data"]
    where = visitor.agency_name(one["agency"]) if one["agency"] else ""
    about = " · ".join(escape(part) for part in (where, one["actor"].partition(":")[2], one["reason"], data.get("hash", "")) if part)
    said = said_html(t, data["yaml"]) if "yaml" in data else ""
    return f"<li><b>{escape(t.word('rule_change', one['kind']))}</b> {time_html(one['at'])} <span class='soft'>{about}</span>{said}</li>"
