"""Why a rule of readiness proposed a level: what it asks for, what was met, and the incidents it was met by."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import facts, panel
from api.dashboard.response.progress import Shown
from api.dashboard.response.shown import duration

_COLUMNS: Final = ("number", "agency", "severity", "importance", "opened_at")


def grounds(page: Shown, name: str, found: Mapping[str, Any]) -> None:
    """The panel. A proposal to stand down has no incidents: it was quiet for long enough."""
    if not found:
        return
    t, showing = page.visitor.t, page.showing
    needed = found.get("needed")
    with panel(showing.name(name)):
        if needed is None:
            quiet = duration(t, found["quiet_minutes"] * 60)
            facts([(t("Quiet for"), escape(quiet)), (t("No incident of"), showing.html("severity", found["severity"]))])
            return
        pairs = [
            (showing.name(one), escape(t("{count}, at least {needed} asked for", count=count, needed=needed[one])))
            for one, count in (("incidents", found["total"]), ("agencies", found["agencies"]))
        ]
        pairs.append((t("Of severity, or graver"), showing.html("severity", needed["severity"])))
        if needed["importance"]:
            pairs.append((t("About systems of importance, or higher"), showing.html("importance", needed["importance"])))
        pairs.append((t("Within"), escape(duration(t, needed["within_minutes"] * 60))))
        facts(pairs)
        ui.html(showing.table(found["incidents"], _COLUMNS), sanitize=False)
