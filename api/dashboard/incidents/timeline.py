"""What happened around an incident: detections over time by rule, with what people did as marks, and the same as a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import panel, text, time_html
from api.dashboard.incidents.rows import person
from api.dashboard.steps.names import actor_name, state_name, step_name
from api.dashboard.visitor import Visitor
from core.clock import KST

BARS: Final = 60
_STEPS: Final = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)  # seconds a bar may stand for
# Readable on the light and on the dark ground alike, and apart for people who see few colours.
_COLOURS: Final = ("#e2622a", "#5b8db8", "#c9a227", "#4e9a6b", "#9a6fb0", "#84909f")
_WORDS: Final = "#84909f"
_LINES: Final = "rgba(132,144,159,.20)"
_DEEDS: Final = "#b0588a"

Moments = Sequence[Mapping[str, Any]]


class TimelinePanel:
    """Chart and list; `show` brings them up to date."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._moments: Moments | None = None
        t = visitor.t
        with panel(t("Timeline")) as head:
            with head:
                text("span", t("detections by the devices' clocks, deeds by ours"), "note")
            self._chart = ui.echart(_options()).classes("chart timeline")
            self._chart.props("role=img").props["aria-label"] = t("Detections over time, and what was done")
            self._list = ui.html("", tag="ol", sanitize=False).classes("moments")
            self._rest = text("p", "", "notice")

    def show(self, moments: Moments, more: bool) -> None:
        """Show the moments, the oldest first; `more`: there are more than these."""
        if moments == self._moments:
            return
        self._moments = moments
        self._draw(moments)
        self._list.set_content("".join(_moment_html(self._visitor, one) for one in _folded(moments)))
        self._rest.set_content(escape(self._visitor.t("Only the first are shown; the API gives the rest.")))
        self._rest.set_visibility(more)

    def _draw(self, moments: Moments) -> None:
        found = [one for one in moments if one["kind"] == "detection"]
        did = [one for one in moments if one["kind"] == "history"]
        self._chart.set_visibility(bool(found))
        if not found:
            return
        times = [datetime.fromisoformat(one["at"]) for one in found]
        step, start = _step(min(times), max(times))
        bars = int((max(times) - start) / step) + 1
        options = self._chart.options
        options["xAxis"]["data"] = [_label(start + step * place, step) for place in range(bars)]
        rules = [name for name, _ in Counter(one["what"] for one in found).most_common(len(_COLOURS))]
        named = [one["what"] if one["what"] in rules else rules[-1] for one in found]
        counted = Counter((name, int((at - start) / step)) for name, at in zip(named, times, strict=True))
        options["series"] = [
            {
                "type": "bar",
                "stack": "all",
                "name": self._visitor.title(name),
                "barMaxWidth": 22,
                "itemStyle": {"color": _COLOURS[place]},
                "data": [counted[name, bar] for bar in range(bars)],
            }
            for place, name in enumerate(rules)
        ]
        options["series"].append(self._deeds(did, start, step, bars))
        self._chart.update()

    def _deeds(self, did: Moments, start: datetime, step: timedelta, bars: int) -> dict[str, Any]:
        """What people did, as marks at the bar of its time; what came later stands at the last one."""
        t, at = self._visitor.t, Counter[int]()
        names: dict[int, list[str]] = {}
        for one in did:
            place = min(max(int((datetime.fromisoformat(one["at"]) - start) / step), 0), bars - 1)
            at[place] += 1
            names.setdefault(place, []).append(step_name(t, "incident", one["what"]))
        marks = [{"value": [place, 0], "name": ", ".join(names[place])} for place in sorted(at)]
        return {
            "type": "scatter",
            "name": t("what was done"),
            "symbol": "triangle",
            "symbolSize": 11,
            "itemStyle": {"color": _DEEDS},
            "data": marks,
            "tooltip": {"formatter": "{b}"},
        }


def _step(first: datetime, last: datetime) -> tuple[timedelta, datetime]:
    """How long a bar is, and where the first begins."""
    seconds = next((one for one in _STEPS if (last - first).total_seconds() / one <= BARS), _STEPS[-1])
    seconds = max(seconds, int((last - first).total_seconds() / BARS / 86_400 + 1) * 86_400 if seconds == _STEPS[-1] else seconds)
    return timedelta(seconds=seconds), datetime.fromtimestamp(first.timestamp() // seconds * seconds, first.tzinfo)


def _label(at: datetime, step: timedelta) -> str:
    local = at.astimezone(KST)
    if step >= timedelta(days=1):
        return local.strftime("%m-%d")
    return local.strftime("%m-%d %H:%M" if step >= timedelta(hours=1) else "%H:%M" if step >= timedelta(minutes=1) else "%H:%M:%S")


def _folded(moments: Moments) -> list[tuple[Mapping[str, Any], int, str]]:
    """Detections of one rule that follow one another become one line: the first, how many, and the time of the last."""
    found: list[tuple[Mapping[str, Any], int, str]] = []
    for one in moments:
        if found and one["kind"] == "detection" == found[-1][0]["kind"] and one["what"] == found[-1][0]["what"]:
            first, count, _ = found[-1]
            found[-1] = (first, count + 1, one["at"])
        else:
            found.append((one, 1, one["at"]))
    return found


def _moment_html(visitor: Visitor, folded: tuple[Mapping[str, Any], int, str]) -> str:
    (one, count, until), t = folded, visitor.t
    times = time_html(one["at"]) + (f" – {time_html(until)}" if until != one["at"] else "")
    if one["kind"] == "detection":
        many = escape(t.n("{count} detection", "{count} detections", count))
        said = f'{escape(visitor.title(one["what"]))} <span class="soft">{many}</span>'
        return f'<li class="is-detection"><span class="num">{times}</span><span>{said}</span></li>'
    data = one["data"]
    into = f" → {escape(state_name(t, 'incident', data['after']))}" if data.get("after") != data.get("before") else ""
    whom = f" {escape(person(str(data['assignee'])) or t('Nobody'))}" if "assignee" in data else ""
    why = f'<span class="why">{escape(str(data["reason"]))}</span>' if data.get("reason") else ""
    return (
        f'<li class="is-deed"><span class="num">{times}</span><span><b>{escape(step_name(t, "incident", one["what"]))}</b>{whom}{into} '
        f'<span class="soft">{escape(actor_name(t, one["actor"]))}</span>{why}</span></li>'
    )


def _options() -> dict[str, Any]:
    words = {"color": _WORDS, "fontSize": 11}
    line = {"lineStyle": {"color": _LINES}}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 46, "right": 18, "top": 40, "bottom": 26},
        "legend": {"type": "scroll", "top": 4, "left": 12, "right": 12, "itemWidth": 10, "itemHeight": 10, "textStyle": words},
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": {"type": "category", "data": [], "axisTick": {"show": False}, "axisLine": line, "axisLabel": words},
        "yAxis": {"type": "value", "minInterval": 1, "axisLabel": words, "splitLine": line},
        "series": [],
    }
