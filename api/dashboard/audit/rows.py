"""Rows of the trail as people read them: who did what to what, and the details as words instead of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from html import escape
from typing import Any, Final

from api.dashboard.audit.acts import act_name, detail_name, state_of
from api.dashboard.elements import tag_html, time_html
from api.dashboard.texts import Texts
from api.dashboard.visitor import Visitor

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)")
_INCIDENT: Final = re.compile(r"incident/(INC-\d{4}-\d{6,12})")
_LONGEST: Final = 400
_DEEPEST: Final = 3


def row_html(visitor: Visitor, entry: Mapping[str, Any]) -> str:
    """A row of the table."""
    t = visitor.t
    kind, _, name = str(entry["actor"]).partition(":")
    who = f'{escape(name)} <span class="soft">{escape(t.word("actor", kind))}</span>'
    hashes = f"<dt>{escape(t('Hash'))}</dt><dd class=mono>{escape(entry['hash'])}</dd>"
    hashes += f"<dt>{escape(t('Hash of the row before'))}</dt><dd class=mono>{escape(entry['prev_hash'])}</dd>"
    return (
        f'<td class="num soft">{entry["seq"]}</td><td class="num">{time_html(entry["at"])}</td><td>{who}</td>'
        f"<td>{escape(act_name(t, entry['action']))}<br>{tag_html(entry['action'])}</td><td>{_object(entry['object'])}</td>"
        f'<td class="said">{_details(visitor, entry)}<details><summary>{escape(t("Proof"))}</summary><dl>{hashes}</dl></details></td>'
    )


def _object(name: str) -> str:
    found = _INCIDENT.fullmatch(name)
    return f'<a href="/incidents/{found[1]}">{escape(name)}</a>' if found else escape(name)


def _details(visitor: Visitor, entry: Mapping[str, Any]) -> str:
    action = entry["action"]
    try:
        told = json.loads(entry["detail"])
    except ValueError:
        return escape(entry["detail"][:_LONGEST])
    if not isinstance(told, dict):
        return _value(visitor, action, told, 0)
    moved = _moved(visitor.t, action, told)
    rest = {name: value for name, value in told.items() if not (moved and name in ("from", "to"))}
    items = [f"<div>{moved}</div>"] if moved else []
    items += [_item(visitor, action, name, value, 0) for name, value in rest.items() if value not in ("", None, [], {})]
    return f"<dl>{''.join(items)}</dl>" if items else ""


def _moved(t: Texts, action: str, told: Mapping[str, Any]) -> str:
    """The step from one state to another."""
    before, after = told.get("from"), told.get("to")
    if not isinstance(before, str) or not isinstance(after, str) or before == after:
        return ""
    was, is_now = state_of(t, action, before), state_of(t, action, after)
    return f"<dd>{escape(was)} → <b>{escape(is_now)}</b></dd>" if before else ""


def _item(visitor: Visitor, action: str, name: str, value: Any, depth: int) -> str:
    shown = visitor.agency_name(value) if name == "agency" and isinstance(value, str) else value
    return f"<div><dt>{escape(detail_name(visitor.t, action, name))}</dt><dd>{_value(visitor, action, shown, depth)}</dd></div>"


def _value(visitor: Visitor, action: str, value: Any, depth: int) -> str:
    if isinstance(value, bool):
        return escape(visitor.t("yes") if value else visitor.t("no"))
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return time_html(datetime.fromisoformat(value))
    if isinstance(value, dict) and depth < _DEEPEST:
        return f"<dl>{''.join(_item(visitor, action, name, inner, depth + 1) for name, inner in value.items())}</dl>"
    if isinstance(value, list) and depth < _DEEPEST:
        return ", ".join(_parts(visitor, action, value, depth))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _parts(visitor: Visitor, action: str, values: list[Any], depth: int) -> Iterator[str]:
    for value in values[:20]:
        yield _value(visitor, action, value, depth + 1)
    if len(values) > 20:
        yield escape(visitor.t("and {count} more", count=len(values) - 20))
