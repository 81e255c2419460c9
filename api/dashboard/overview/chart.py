"""What each of the last sixty minutes brought, as bars; findings in a strip of their own above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import empty, text
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
                text("h2", t("Events per minute"))
                text("span", t("last 60 minutes"), "note")
            self._chart = (
                ui.echart(_options(t)).classes("chart").props(f'role=img aria-label="{t("Events per minute")}, {t("last 60 minutes")}"')
            )
            self._none = ui.element("div")
            with self._none:
                empty(
                    t("No event came in the last 60 minutes."), t("Point a device's syslog at this server, or push lines to POST /v1/logs.")
                )
        self._chart.set_visibility(False)

    def show(self, minutes: Sequence[Minute]) -> None:
        """Show `minutes`; nothing is sent when they are as before."""
        if minutes == self._minutes:
            return
        self._minutes = minutes
        options = self._chart.options
        for axis in options["xAxis"]:
            axis["data"] = [one.at.astimezone(KST).strftime("%H:%M") for one in minutes]
        values = ([one.events for one in minutes], [one.quarantined for one in minutes], [one.detections for one in minutes])
        for series, data in zip(options["series"], values, strict=True):
            series["data"] = data
        came = any(one.events or one.quarantined or one.detections for one in minutes)
        self._chart.set_visibility(came)
        self._none.set_visibility(not came)
        self._chart.update()


def _options(t: Texts) -> dict[str, Any]:
    """Two plots above each other on the same minutes: findings in a strip, lines below."""
    words = {"color": _WORDS, "fontSize": 11}
    sides = {"left": 52, "right": 18}
    bar = {"type": "bar", "barCategoryGap": "26%", "data": []}
    line_bar = bar | {"stack": "lines", "xAxisIndex": 1, "yAxisIndex": 1}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": [sides | {"top": 40, "height": 40}, sides | {"top": 92, "bottom": 26}],
        "legend": {"top": 4, "right": 10, "itemWidth": 10, "itemHeight": 10, "itemGap": 18, "textStyle": {"color": _WORDS, "fontSize": 12}},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True, "order": "seriesDesc"},
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "xAxis": [_minutes_axis(0, {"show": False}), _minutes_axis(1, words | {":interval": "(place, minute) => minute.endsWith('0')"})],
        "yAxis": [_count_axis(0, words | {"showMinLabel": False}, 1), _count_axis(1, words, 4)],
        "series": [
            line_bar | {"name": t("events"), "itemStyle": {"color": _EVENTS}},
            line_bar | {"name": t("quarantined"), "itemStyle": {"color": _QUARANTINED}},
            bar | {"name": t("detections"), "itemStyle": {"color": _DETECTIONS}},
        ],
    }


def _minutes_axis(grid: int, label: dict[str, Any]) -> dict[str, Any]:
    line = {"lineStyle": {"color": _LINES}}
    return {"type": "category", "gridIndex": grid, "data": [], "axisTick": {"show": False}, "axisLine": line, "axisLabel": label}


def _count_axis(grid: int, label: dict[str, Any], parts: int) -> dict[str, Any]:
    line = {"lineStyle": {"color": _LINES}}
    return {"type": "value", "gridIndex": grid, "minInterval": 1, "splitNumber": parts, "axisLabel": label, "splitLine": line}
