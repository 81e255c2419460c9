"""What each of the last sixty minutes brought, as bars; findings as points above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nicegui import ui

from api.dashboard.frame import empty, text
from api.dashboard.texts import Texts
from core.clock import KST
from core.storage.event_queries import Minute

# Readable on the light and on the dark ground alike, so that the chart need not know the theme.
_EVENTS: Final = "#5b8db8"
_QUARANTINED: Final = "#c9a227"
_DETECTIONS: Final = "#e2622a"
_WORDS: Final = "#84909f"
_LINES: Final = "rgba(132,144,159,.20)"


class MinuteChart:
    """A panel with the chart, or with a hint while nothing came."""

    def __init__(self, t: Texts) -> None:
        self._minutes: Sequence[Minute] = ()
        with ui.element("section").classes("panel"):
            with ui.element("header"):
                text("h2", t("chart.title"))
                text("span", t("chart.note"), "note")
            self._chart = ui.echart(_options(t)).classes("chart").props(f'role=img aria-label="{t("chart.title")}, {t("chart.note")}"')
            self._none = ui.element("div")
            with self._none:
                empty(t("chart.empty"), t("chart.hint"))
        self._chart.set_visibility(False)

    def show(self, minutes: Sequence[Minute]) -> None:
        """Show `minutes`; nothing is sent when they are as before."""
        if minutes == self._minutes:
            return
        self._minutes = minutes
        options = self._chart.options
        options["xAxis"]["data"] = [one.at.astimezone(KST).strftime("%H:%M") for one in minutes]
        values = ([one.events for one in minutes], [one.quarantined for one in minutes], [one.detections or None for one in minutes])
        for series, data in zip(options["series"], values, strict=True):
            series["data"] = data
        came = any(one.events or one.quarantined or one.detections for one in minutes)
        self._chart.set_visibility(came)
        self._none.set_visibility(not came)
        self._chart.update()


def _options(t: Texts) -> dict[str, Any]:
    words = {"color": _WORDS, "fontSize": 11}
    axis = {"type": "value", "minInterval": 1, "axisLabel": words}
    bars = {"type": "bar", "stack": "lines", "barCategoryGap": "28%"}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 14, "right": 14, "top": 34, "bottom": 6, "containLabel": True},
        "legend": {"top": 2, "right": 12, "itemWidth": 10, "itemHeight": 10, "itemGap": 18, "textStyle": {"color": _WORDS, "fontSize": 12}},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "xAxis": {
            "type": "category",
            "data": [],
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": _LINES}},
            "axisLabel": words | {"interval": 9},
        },
        "yAxis": [
            axis | {"splitLine": {"lineStyle": {"color": _LINES}}},
            axis | {"position": "right", "splitLine": {"show": False}},
        ],
        "series": [
            bars | {"name": t("chart.events"), "itemStyle": {"color": _EVENTS, "borderRadius": [2, 2, 0, 0]}, "data": []},
            bars | {"name": t("chart.quarantined"), "itemStyle": {"color": _QUARANTINED, "borderRadius": [2, 2, 0, 0]}, "data": []},
            {
                "name": t("chart.detections"),
                "type": "line",
                "yAxisIndex": 1,
                "symbol": "circle",
                "symbolSize": 7,
                "lineStyle": {"width": 0},
                "itemStyle": {"color": _DETECTIONS},
                "data": [],
            },
        ],
    }
