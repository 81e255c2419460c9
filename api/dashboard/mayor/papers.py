"""Reports to take away: the feed's issues of whole periods, which never change once they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import panel, text, time_html
from api.dashboard.texts import NAMES, Texts, number
from api.dashboard.visitor import Visitor
from core.clock import KST

MONTHS: Final = 24
YEARS: Final = 3
DAYS: Final = 14


class Papers:
    """The panel: a period to choose, and the files of it."""

    def __init__(self, visitor: Visitor, issued: Sequence[Mapping[str, Any]]) -> None:
        t = visitor.t
        periods = ended(t, visitor.centre.clock.now())
        self._t = t
        with panel(t("Reports to download")), ui.element("div").classes("panel-body papers"):
            text("p", t("Accident reports the centre received, by period. A period can be had once it has ended, and never changes then."))
            chosen = ui.select(periods, label=t("Period"), value=next(iter(periods)), with_input=True)
            chosen.props("outlined dense options-dense hide-bottom-space behavior=menu").classes("period")
            self._links = ui.html(self._files(next(iter(periods))), sanitize=False).classes("downloads")
            chosen.on_value_change(lambda event: self._links.set_content(self._files(event.value)) if event.value else None)
            if issued:
                text("h3", t("Made so far"))
                ui.html("".join(_issued(t, one) for one in issued), tag="ul", sanitize=False).classes("issued")

    def _files(self, period: str) -> str:
        t, path = self._t, f"/v1/feed/issues/{period}"
        papers = [(f"{path}?format=pdf&amp;language={language}", f"PDF · {name}") for language, name in NAMES.items()]
        files = [*papers, (f"{path}?format=csv", "CSV"), (f"{path}?format=json", "JSON")]
        name = escape(t("{period} as {form}", period=period, form="{form}"), quote=True)
        return "".join(
            f'<a class="tool file" href="{href}" download aria-label="{name.replace("{form}", form)}">'
            f'<i class="material-icons" aria-hidden="true">download</i>{form}</a>'
            for href, form in files
        )


def ended(t: Texts, now: datetime) -> dict[str, str]:
    """Periods of Seoul's calendar that have ended, the last month first, then years and days."""
    today = now.astimezone(KST).date()
    months, first = {}, today.replace(day=1)
    for _ in range(MONTHS):
        first = (first - timedelta(days=1)).replace(day=1)
        months[f"{first:%Y-%m}"] = t("{month} (month)", month=f"{first:%Y-%m}")
    years = {str(today.year - back): t("{year} (year)", year=str(today.year - back)) for back in range(1, YEARS + 1)}
    days = [today - timedelta(days=back) for back in range(1, DAYS + 1)]
    return {**months, **years, **{f"{day:%Y-%m-%d}": t("{day} (day)", day=f"{day:%Y-%m-%d}") for day in days}}


def _issued(t: Texts, issue: Mapping[str, Any]) -> str:
    restated = len(issue["restated"])
    later = f" · {escape(t('{count} restated since', count=number(restated)))}" if restated else ""
    entries = escape(t.n("{count} report", "{count} reports", issue["entries"]))
    return f'<li><b>{escape(issue["period"])}</b> <span class="soft">{entries} · {time_html(issue["issued_at"])}{later}</span></li>'
