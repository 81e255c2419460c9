"""How often a rule fired, day by day."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import empty, panel
from api.dashboard.texts import Texts
from core.clock import KST

# Readable on the light and on the dark ground alike.
_BARS: Final = "#e2622a"
_WORDS: Final = "#84909f"
_LINES: Final = "rgba(132,144,159,.20)"


def show(t: Texts, days: list[dict[str, Any]]) -> None:
    """A panel with a bar for each day, or with a hint when it never fired."""
    with panel(t("Hits by day"), t("last {count} days", count=len(days))):
        if not any(one["detections"] for one in days):
            empty(t("It has not fired in this time."), t("See below whether it can fire at all, or run it over history."))
            return
        names = [datetime.fromisoformat(one["at"]).astimezone(KST).strftime("%m-%d") for one in days]
        total = sum(one["detections"] for one in days)
        label = t.n("{count} hit in the last {days} days", "{count} hits in the last {days} days", total, days=len(days))
        chart = ui.echart(_options(t, names, [one["detections"] for one in days]))
        chart.classes("hits-chart").props(f'role=img aria-label="{label}"')


def _options(t: Texts, names: list[str], values: list[int]) -> dict[str, Any]:
    words = {"color": _WORDS, "fontSize": 11}
    line = {"lineStyle": {"color": _LINES}}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 48, "right": 14, "top": 10, "bottom": 24},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {"type": "category", "data": names, "axisTick": {"show": False}, "axisLine": line, "axisLabel": words},
        "yAxis": {"type": "value", "minInterval": 1, "axisLabel": words, "splitLine": line},
        "series": [{"type": "bar", "name": t("detections"), "data": values, "itemStyle": {"color": _BARS}, "barCategoryGap": "30%"}],
    }
