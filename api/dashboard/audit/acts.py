"""How what the trail tells of is called: `request.issue` is `Request: Issue`. What has no word of its own stays as it is written."""

from __future__ import annotations

from typing import Final

from api.dashboard.steps.names import field_name, state_name, step_name
from api.dashboard.texts import Texts
from api.dashboard.words import WORDS

_DRAFT: Final = "rule_draft"


def act_name(t: Texts, action: str) -> str:
    """What was done, in the reader's language."""
    thing, _, what = action.partition(".")
    if action in WORDS["done"]:
        return t.word("done", action)
    return f"{t.word('done_to', thing)}: {_step(t, thing, what)}" if thing in WORDS["done_to"] else action


def _step(t: Texts, thing: str, what: str) -> str:
    if what in WORDS["done"]:
        return t.word("done", what)
    return t.word("draft_step", what) if thing == _DRAFT else step_name(t, thing, what)


def detail_name(t: Texts, action: str, name: str) -> str:
    """What a detail of it is called."""
    if name in WORDS["detail"]:
        return t.word("detail", name)
    thing = action.partition(".")[0]
    is_field = name in WORDS["field"] or f"{thing}.{name}" in WORDS["field"]
    return field_name(t, thing, name) if is_field else name.replace("_", " ")


def state_of(t: Texts, action: str, state: str) -> str:
    """A state of what an action was done to."""
    thing = action.partition(".")[0]
    if thing == _DRAFT:
        return t.word("draft", state)
    return state_name(t, thing, state) if thing in WORDS["done_to"] else state
