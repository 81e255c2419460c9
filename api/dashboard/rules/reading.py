"""What the pages of rules read of the API, put together."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any, Final

from api.dashboard.refusals import refusal
from api.dashboard.rules import attack
from api.dashboard.visitor import Visitor

_QUOTED: Final = re.compile("'([^']+)'")


@dataclass(frozen=True)
class Listed:
    """A rule as the list shows it. `reason` is why a rule that was set aside does not run; its `rule_id` is ''."""

    rule_id: str
    title: str
    level: str
    kind: str
    classes: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    techniques: tuple[str, ...]
    states: tuple[str, ...]
    day: int = 0
    week: int = 0
    last_at: str = ""
    false: int = 0
    judged: int = 0
    draft: str = ""
    reason: str = ""

    @property
    def false_share(self) -> float:
        """The share of false alarms among the decided incidents; -1 while none was decided."""
        return self.false / self.judged if self.judged else -1.0


@dataclass(frozen=True)
class Library:
    """Every rule, and how many processes run them. `version` '' says that nothing detects."""

    version: str
    rules: list[Listed] = field(default_factory=list)
    set_aside: list[Listed] = field(default_factory=list)


async def library(visitor: Visitor) -> Library:
    """Every rule in force and set aside, with its figures. Refused when the visitor may not."""
    api, pages = visitor.api, await _pages(visitor)
    figures, tunings, silences = await asyncio.gather(
        api.get("/v1/rules/figures"), api.get("/v1/rules/tunings"), api.get("/v1/silences", limit=500)
    )
    known = {one["rule_id"]: one for one in figures.body["items"]}
    tuned = {one["rule_id"] for one in tunings.body["items"]}
    silenced = {one["rule_id"] for one in silences.body["items"]}
    rules = [_listed(visitor, one, known.get(one["rule_id"], {}), tuned, silenced) for page in pages for one in page["items"]]
    return Library(pages[0]["version"], rules, [_set_aside(visitor, one) for one in pages[0]["set_aside"]])


async def titles(visitor: Visitor) -> dict[str, str]:
    """The titles of every rule in force, by its id, in the visitor's language. Refused when the visitor may not."""
    return {one["rule_id"]: title_of(visitor, one) for page in await _pages(visitor) for one in page["items"]}


async def _pages(visitor: Visitor) -> list[dict[str, Any]]:
    pages = [(await visitor.api.get("/v1/rules", limit=500)).body]
    while pages[-1]["next_cursor"]:
        pages.append((await visitor.api.get("/v1/rules", limit=500, cursor=pages[-1]["next_cursor"])).body)
    return pages


def _set_aside(visitor: Visitor, one: dict[str, Any]) -> Listed:
    name = f"{one['file'].rpartition('/')[2]}:{one['line']}"
    return Listed("", name, "", "", (), (), (), ("set_aside",), reason=refusal(visitor.t, one["reason"]))


def because(visitor: Visitor, reason: str) -> str:
    """Why a rule cannot fire, in the visitor's language, its members by their titles there."""
    return _QUOTED.sub(lambda found: f"'{visitor.title(found[1])}'", refusal(visitor.t, reason))


def title_of(visitor: Visitor, rule: dict[str, Any]) -> str:
    """A rule's title in the visitor's language, where it has one."""
    words = rule.get("words") or {}
    return str(words.get(f"title_{visitor.t.language}") or rule["title"])


def _listed(visitor: Visitor, rule: dict[str, Any], figures: dict[str, Any], tuned: set[str], silenced: set[str]) -> Listed:
    rule_id, last = rule["rule_id"], figures.get("last_at") or ""
    marks = (("tuned", rule_id in tuned), ("silenced", rule_id in silenced), ("quiet", not last))
    return Listed(
        rule_id=rule_id,
        title=title_of(visitor, rule),
        level=rule["level"],
        kind=rule["kind"],
        classes=tuple(rule["classes"]),
        places=tuple(attack.places(rule["tags"])),
        techniques=tuple(attack.techniques_of(rule["tags"])),
        states=("in_force", *(name for name, holds in marks if holds)),
        day=figures.get("day", 0),
        week=figures.get("week", 0),
        last_at=last,
        false=figures.get("false_positives", 0),
        judged=figures.get("false_positives", 0) + figures.get("true_positives", 0),
        draft=rule["draft"],
    )
