"""The filters of the queue: one form of the browser's own inputs, whose values are the query of the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from api.dashboard.incidents.wanted import Wanted
from api.dashboard.texts import Texts
from api.dashboard.visitor import Visitor
from respond.grouping import LEVELS
from respond.incidents.machine import State
from respond.incidents.order import Order


def form_html(visitor: Visitor, wanted: Wanted) -> str:
    """The form's content."""
    t, me = visitor.t, visitor.principal
    whose = wanted.one("assignee")
    people = {"": t("Anybody or nobody"), "me": t("Me"), "nobody": t("Nobody")}
    if whose not in people:
        people[whose] = whose.partition(":")[2] or whose
    agencies = {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies}
    severities = {level: t.word("severity", level) for level in reversed(LEVELS)}
    parts = [
        _search(t, wanted),
        _several(t("State"), "state", {state.value: t.word("state", state.value) for state in State}, wanted, t("all")),
        _several(t("Severity"), "severity", severities, wanted, t("all")),
    ]
    if me.agency == "":
        parts.append(_select(t("Agency"), "agency", {"": t("All agencies"), **agencies}, wanted))
    parts += [
        _select(t("Assignee"), "assignee", people, wanted),
        _select(t("Opened"), "within_hours", _times(t, wanted), wanted),
        _select(t("Exercises"), "exercise", {"": t("With the rest"), "false": t("Leave out"), "true": t("Only these")}, wanted),
        _select(t("Accident report"), "reported", {"": t("With or without"), "true": t("With"), "false": t("Without")}, wanted),
        _select(t("Order"), "sort", orders(t), wanted),
    ]
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(wanted.one(name), quote=True)}">'
        for name in ("since", "until")
        if wanted.one(name)
    )
    return "".join(parts) + hidden + f'<button class="tool" type="reset">{escape(t("Clear"))}</button>'


def orders(t: Texts) -> Mapping[str, str]:
    """The orders by the word the address has for them; the first is that without a word."""
    return {
        "": t("Newest first"),
        Order.LAST_EVENT.value: t("Last event first"),
        Order.SEVERITY.value: t("Gravest first"),
        Order.OLDEST.value: t("Longest waiting first"),
    }


def _times(t: Texts, wanted: Wanted) -> dict[str, str]:
    times = {"": t("Any time"), "1": t("Last hour"), "24": t("Last 24 hours"), "168": t("Last 7 days"), "720": t("Last 30 days")}
    asked = wanted.one("within_hours")
    return times if asked in times else {**times, asked: t("Last {hours} hours", hours=asked)}


def _search(t: Texts, wanted: Wanted) -> str:
    label = escape(t("Search: number, words of the title, address, user, domain"), quote=True)
    return (
        f'<label class="find"><span class="name">{escape(t("Search"))}</span><input type="search" name="q" maxlength="200" '
        f'placeholder="{label}" aria-label="{label}" value="{escape(wanted.one("q"), quote=True)}"></label>'
    )


def _select(label: str, name: str, options: Mapping[str, str], wanted: Wanted) -> str:
    chosen = wanted.one(name)
    shown = "".join(
        f'<option value="{escape(value, quote=True)}"{" selected" if value == chosen else ""}>{escape(word)}</option>'
        for value, word in options.items()
    )
    return f'<label><span class="name">{escape(label)}</span><select name="{name}">{shown}</select></label>'


def _several(label: str, name: str, options: Mapping[str, str], wanted: Wanted, everything: str) -> str:
    chosen: Sequence[str] = wanted.given.get(name, ())
    boxes = "".join(
        f'<label><input type="checkbox" name="{name}" value="{escape(value, quote=True)}"{" checked" if value in chosen else ""}>'
        f"<span>{escape(word)}</span></label>"
        for value, word in options.items()
    )
    said = ", ".join(options.get(value, value) for value in chosen) or everything
    return (
        f'<details class="several" data-all="{escape(everything, quote=True)}"><summary><span class="name">{escape(label)}</span>'
        f'<span class="chosen">{escape(said)}</span></summary><div class="options" role="group" aria-label="{escape(label, quote=True)}">'
        f"{boxes}</div></details>"
    )
