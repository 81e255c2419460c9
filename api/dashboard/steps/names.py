"""How steps, states, fields and values of cases are called: by the word of the kind of case where it has one of its own."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from api.dashboard.texts import Texts
from api.dashboard.words import WORDS

_LAW: Final = re.compile(r"(?:(CO|PIO|DEC|CCTV|DSO) )?(\d+(?:-\d+)?(?:\(\d+\))*\d*)|(\(\d+\))")


def _own(t: Texts, kind: str, of: str, word: str) -> str:
    """The word of `kind` that `of` has of its own, else the common one."""
    own = f"{of}.{word}"
    return t.word(kind, own if own in WORDS[kind] else word)


def actor_name(t: Texts, actor: str) -> str:
    """Who did something: people by their name, the centre itself as such."""
    kind, _, name = actor.partition(":")
    return t("the centre itself") if kind == "system" else name or actor


def step_name(t: Texts, machine: str, action: str) -> str:
    """What the button of a step says."""
    return _own(t, "step", machine, action)


def state_name(t: Texts, machine: str, state: str) -> str:
    """A state of a case."""
    if machine == "incident":
        return t.word("state", state)
    return _own(t, "case_state", machine, state)


def state_html(t: Texts, machine: str, state: str) -> str:
    """A state as a dot and its word."""
    return f'<span class="state is-{escape(state, quote=True)}">{escape(state_name(t, machine, state))}</span>'


def clock_name(t: Texts, of: str, name: str) -> str:
    """What a clock of a case waits for."""
    return _own(t, "clock", of, name)


def field_name(t: Texts, of: str, field: str) -> str:
    """A field of a body or an answer; `of` is the machine it belongs to."""
    return _own(t, "field", of, field)


def hint(t: Texts, of: str, field: str, *, required: bool) -> str:
    """What is to be known about a field, or what it says when it is left empty, or ''."""
    own = f"{of}.{field}"
    for kind in ("hint",) if required else ("hint", "if_empty"):
        found = own if own in WORDS[kind] else field
        if found in WORDS[kind]:
            return t.word(kind, found)
    return ""


def value_name(t: Texts, field: str, value: str) -> str:
    """A value out of a fixed set; `field` is the field it stands in."""
    return t.word("severity", value) if field == "severity" and value else _own(t, "value", field, value)


def law_name(t: Texts, law: str) -> str:
    """Articles as people cite them: `CO 18(1)` by the name of its ordinance; without one it is the cybersecurity ordinance's."""
    acts: dict[str, list[str]] = {}
    act = "CO"
    for found in _LAW.finditer(law):
        act = found[1] or act
        acts.setdefault(act, []).append(found[2] or found[3])
    return " · ".join(f"{t.word('act', act)} {', '.join(articles)}" for act, articles in acts.items())
