"""What stands above the figures: the national warning in force, and beside it the centre's own readiness, never one as the other."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import time_html
from api.dashboard.texts import Texts, number
from api.dashboard.visitor import Visitor
from core.permissions import Action
from respond.readiness import policy, service
from respond.readiness.models import Proposal
from respond.warnings import in_force, levels
from respond.warnings.models import Warning  # noqa: A004 - the ordinance's word

_NAMED: Final = 4
_CALM: Final = "calm"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a visitor is to see; None where nothing is in force, or nothing they may read."""

    warning: Warning | None
    readiness: Proposal | None


def read(visitor: Visitor) -> Standing:
    """What is in force for the visitor. Blocks."""
    caller, centre = visitor.principal, visitor.centre
    warning = readiness = None
    with centre.database.session(readonly=True) as session:
        if caller.may(Action.WARNINGS_READ):
            table = levels.load(centre.settings.respond.warnings)
            warning = in_force.current(session, caller.scope(Action.WARNINGS_READ), table)
        if caller.may(Action.READINESS_READ):
            readiness = service.in_force(session)
    return Standing(warning, readiness)


class Banners:
    """The banners of one page, empty until shown."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._box = ui.html("", sanitize=False).classes("banners").props("role=status")

    def show(self, standing: Standing) -> None:
        """Show what is in force now."""
        self._box.set_content(self._warning(standing.warning) + self._readiness(standing.readiness))

    def _warning(self, warning: Warning | None) -> str:
        if not self._visitor.principal.may(Action.WARNINGS_READ):
            return ""
        t, table = self._visitor.t, levels.load(self._visitor.centre.settings.respond.warnings)
        if warning is None:
            return _banner(
                _CALM, t("National cyber warning: {level}", level=_called(t, table.levels[0])), escape(t("No warning is in force."))
            )
        mood = levels.effects(table, warning.level).banner or _CALM
        title = t(
            "National cyber warning: {level} · {issuer} {reference}",
            level=_called(t, table.find(warning.level)),
            issuer=warning.issuer,
            reference=warning.reference,
        )
        return _banner(
            mood,
            title,
            t(
                "{title} · since {since} KST · for {scope}. Recorded from the national notice; the city issues no warning.",
                title=escape(warning.title),
                since=time_html(warning.starts_at),
                scope=escape(self._scope(warning)),
            ),
        )

    def _scope(self, warning: Warning) -> str:
        """The agencies concerned by name, as many as fit."""
        t = self._visitor.t
        if not warning.agencies:
            return t("every agency")
        known = {
            one.id: (one.name_en or one.name_ko) if t.language == "en" else one.name_ko for one in self._visitor.centre.settings.agencies
        }
        named = [known.get(agency, agency) for agency in warning.agencies]
        more = t(" and {count} more", count=number(len(named) - _NAMED)) if len(named) > _NAMED else ""
        return ", ".join(named[:_NAMED]) + more

    def _readiness(self, readiness: Proposal | None) -> str:
        if readiness is None or readiness.confirmed_at is None:
            return ""
        t = self._visitor.t
        level = policy.load(self._visitor.centre.settings.respond.readiness).find(readiness.level)
        title = t("The centre's own readiness: {level}", level=_called(t, level))
        return _banner(
            "own",
            title,
            t(
                "{number} · since {since} KST. The centre's own decision; it is no national warning.",
                number=escape(readiness.number),
                since=time_html(readiness.confirmed_at),
            ),
        )


def _called(t: Texts, level: Any) -> str:
    """A level's name in the language of `t`."""
    return str(level.en if t.language == "en" else level.ko)


def _banner(mood: str, title: str, note_html: str) -> str:
    return f'<div class="banner {mood}"><b>{escape(title)}</b><span>{note_html}</span></div>'
