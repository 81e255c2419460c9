"""How many events over the time asked for, as bars by what the device did; drawing across bars narrows the time to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from nicegui import ui
from nicegui.events import GenericEventArguments

from api.dashboard.elements import text
from api.dashboard.texts import Texts
from core.clock import KST

# Readable on the light and on the dark ground alike, so that the chart follows the theme at once.
_COLOURS: Final = {"allow": "#4f8f6b", "deny": "#c05c2e", "alert": "#c9a227", "": "#5b8db8"}
_WORDS: Final = "#84909f"
_LINES: Final = "rgba(132,144,159,.20)"
_BRUSH: Final = {"brushType": "lineX", "brushMode": "single"}
_DAY: Final = timedelta(days=1)


class Histogram:
    """The chart of a page. `narrow` is told of the time somebody drew across, UTC."""

    def __init__(self, t: Texts, narrow: Callable[[datetime, datetime], Any]) -> None:
        self._t, self._narrow = t, narrow
        self._bars: Sequence[dict[str, Any]] = ()
        self._step = timedelta(seconds=1)
        with ui.element("section").classes("panel hunt-times"):
            with ui.element("header"):
                text("h2", t("Over time"))
                text("span", t("Draw across the bars to narrow the time."), "note")
                self._about = text("span", "", "note")
            self._chart = ui.echart(_options(t)).classes("chart hunt-chart").props(f'role=img aria-label="{t("Events over time")}"')
        self._chart.on("chart:brushEnd", self._drawn, ["areas"])

    def show(self, found: dict[str, Any]) -> None:
        """Show `found`, an answer of GET /v1/events/histogram."""
        t, options = self._t, self._chart.options
        self._bars, self._step = found["bars"], timedelta(seconds=found["step_seconds"])
        starts = [datetime.fromisoformat(bar["at"]).astimezone(KST) for bar in self._bars]
        options["xAxis"]["data"] = [_label(at, self._step) for at in starts]
        for series, name in zip(options["series"], _COLOURS, strict=True):
            series["data"] = [bar["dispositions"].get(name, 0) for bar in self._bars]
        others = [bar["events"] - sum(bar["dispositions"].get(name, 0) for name in _COLOURS) for bar in self._bars]
        options["series"][-1]["data"] = [own + rest for own, rest in zip(options["series"][-1]["data"], others, strict=True)]
        self._about.set_content(t("{count} a bar", count=_length(t, self._step)))
        total = t.n("{count} event", "{count} events", found["events"])
        self._chart.props["aria-label"] = f"{t('Events over time')}: {total}"
        self._chart.update()
        self._chart.run_chart_method("dispatchAction", {"type": "brush", "areas": []})
        self._chart.run_chart_method("dispatchAction", {"type": "takeGlobalCursor", "key": "brush", "brushOption": _BRUSH})

    async def _drawn(self, event: GenericEventArguments) -> None:
        areas = event.args.get("areas") if isinstance(event.args, dict) else event.args
        if not areas or not self._bars:
            return
        first, last = areas[0]["coordRange"]
        first, last = max(0, round(first)), min(len(self._bars) - 1, round(last))
        if last < first:
            return
        since = datetime.fromisoformat(self._bars[first]["at"])
        until = datetime.fromisoformat(self._bars[last]["at"]) + self._step
        await self._narrow(since, until)


def _options(t: Texts) -> dict[str, Any]:
    words, line = {"color": _WORDS, "fontSize": 11}, {"lineStyle": {"color": _LINES}}
    names = {"allow": t("allowed"), "deny": t("denied"), "alert": t("alerts"), "": t("other")}
    bar = {"type": "bar", "stack": "events", "barCategoryGap": "12%", "data": []}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 56, "right": 18, "top": 30, "bottom": 26},
        "legend": {"top": 2, "right": 10, "itemWidth": 10, "itemHeight": 10, "itemGap": 16, "textStyle": words | {"fontSize": 12}},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "toolbox": {"show": False},
        "brush": {"xAxisIndex": 0, "toolbox": [], "throttleType": "debounce", "throttleDelay": 200, **_BRUSH},
        "xAxis": {
            "type": "category",
            "data": [],
            "axisTick": {"show": False},
            "axisLine": line,
            "axisLabel": words | {"hideOverlap": True},
        },
        "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 3, "axisLabel": words, "splitLine": line},
        "series": [bar | {"name": names[name], "itemStyle": {"color": colour}} for name, colour in _COLOURS.items()],
    }


def _label(at: datetime, step: timedelta) -> str:
    if step >= _DAY:
        return at.strftime("%m-%d")
    return at.strftime("%m-%d %H:%M") if step >= timedelta(minutes=30) else at.strftime("%H:%M:%S")


def _length(t: Texts, step: timedelta) -> str:
    seconds = int(step.total_seconds())
    if seconds >= 86_400:
        return t.n("{count} day", "{count} days", seconds // 86_400)
    if seconds >= 3600:
        return t.n("{count} hour", "{count} hours", seconds // 3600)
    if seconds >= 60:
        return t.n("{count} minute", "{count} minutes", seconds // 60)
    return t.n("{count} second", "{count} seconds", seconds)
