"""What is wrong with a search, in the reader's language and with its place.

The language's own messages (`core.storage.search_language`, `search_conditions`, `detect.search_rule`) are English sentences with the
character they are about. Each has its translation here; a test holds the list to being complete.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Final

from api.dashboard.client import Refused
from api.dashboard.refusals import refusal
from api.dashboard.texts import Texts
from api.dashboard.visitor import Visitor

_PLACED: Final = re.compile(r"search, character (\d+): (.*)", re.DOTALL)
_Said = Callable[[Texts, re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What happened, and at which character of the search (from 0); None where it has no place."""

    said: str
    at: int | None = None


def mistake(visitor: Visitor, refused: Refused) -> Mistake:
    """What the API refused, for people."""
    t = visitor.t
    if refused.code == "too_costly":
        advice = t("Ask for a shorter time, or for less: a column such as src_ip: costs less than text in the whole line.")
        return Mistake(f"{t.word('problem', refused.code)} {advice}")
    if placed := _PLACED.fullmatch(refused.detail):
        return Mistake(translated(t, placed[2]), int(placed[1]) - 1)
    own = translated(t, refused.detail)
    return Mistake(own if own != refused.detail else f"{t.word('problem', refused.code)} {refused.detail}")


def translated(t: Texts, reason: str) -> str:
    """The reason in the reader's language; as it is when it is not known here."""
    for pattern, said in _SAID:
        if found := re.fullmatch(pattern, reason, re.DOTALL):
            return said(t, found)
    return refusal(t, reason)


def marked_html(q: str, at: int) -> str:
    """The search with the character marked at which it cannot be read."""
    if at >= len(q):
        return f"{escape(q)}<mark>&nbsp;</mark>"
    end = next((place for place in range(at + 1, len(q)) if q[place] in " \t()"), len(q))
    return f"{escape(q[:at])}<mark>{escape(q[at:end])}</mark>{escape(q[end:])}"


_SAID: Final[tuple[tuple[str, _Said], ...]] = (
    (r"a search has at most (\d+) characters", lambda t, m: t("A search has at most {most} characters.", most=m[1])),
    (r"this `\)` closes nothing", lambda t, _: t("This closing bracket closes nothing.")),
    (r"the search ends where a value should stand", lambda t, _: t("The search ends where a value should stand.")),
    (
        r"a value should stand before (\w+); to look for the word itself write .*",
        lambda t, m: t('A value should stand before {word}. To look for the word itself, put it in quotes: "{word}"', word=m[1]),
    ),
    (r"a value should stand before this `\)`", lambda t, _: t("A value should stand before this closing bracket.")),
    (r"this `\(` is never closed", lambda t, _: t("This bracket is never closed.")),
    (r"a search has at most (\d+) values", lambda t, m: t("A search has at most {most} values.", most=m[1])),
    (
        r"inside the brackets of (.+) only values can stand; .*",
        lambda t, m: t(
            "Inside the brackets of {name} only values can stand. Put the value in quotes if the colon belongs to it.", name=m[1]
        ),
    ),
    (r"a value should stand after (.+):", lambda t, m: t("A value should stand after {name}:", name=m[1])),
    (r"a range reads \[low TO high\]", lambda t, _: t("A range is written [low TO high].")),
    (r"this range is never closed", lambda t, _: t("This range is never closed.")),
    (r"these quotes are never closed", lambda t, _: t("These quotes are never closed.")),
    (
        r"quotes stand around a whole value; .*",
        lambda t, _: t("Quotes stand around a whole value. Before a quote inside one write a backslash."),
    ),
    (r"a value should stand here", lambda t, _: t("A value should stand here.")),
    (r"brackets and NOT go at most (\d+) deep", lambda t, m: t("Brackets and NOT go at most {most} deep.", most=m[1])),
    (
        r"there is no column '(.*)'; did you mean (.+)\?",
        lambda t, m: t("There is no column {name}. Did you mean {meant}?", name=m[1], meant=m[2]),
    ),
    (
        r"there is no column '(.*)'; to look for it in the line put it in quotes",
        lambda t, m: t("There is no column {name}. To look for it in the line, put it in quotes.", name=m[1]),
    ),
    (
        r"(\w+) is a time: write .*",
        lambda t, m: t("{name} is a time. Write {name}:[2026-11-01 TO 2026-11-02]", name=m[1]),
    ),
    (r"(\w+) is text and has no ranges", lambda t, m: t("{name} is text and has no ranges.", name=m[1])),
    (
        r"'(.*)' is no flag of intake; there are (.+)",
        lambda t, m: t("{value} is no flag of intake. There are {flags}.", value=m[1], flags=m[2]),
    ),
    (
        r"(\w+): '(.*)' is not a number from 0 to (\d+)",
        lambda t, m: t("{name} is a number from 0 to {most}; {value} is none.", name=m[1], value=m[2], most=m[3]),
    ),
    (
        r"(\w+): a range goes from one address to another; '(.*)' is a network",
        lambda t, m: t("A range of {name} goes from one address to another; {value} is a network.", name=m[1], value=m[2]),
    ),
    (
        r"(\w+): '(.*)' is neither an address nor a network",
        lambda t, m: t("{value} is neither an address nor a network, and {name} is an address.", name=m[1], value=m[2]),
    ),
    (
        r"(\w+): '(.*)' is no time such as .*",
        lambda t, m: t("{value} is no time. Write {name}:>2026-11-01 or {name}:>2026-11-01T09:00:00", name=m[1], value=m[2]),
    ),
    (r"(\w+): a time lies between 1971 and 2199", lambda t, m: t("A time of {name} lies between 1971 and 2199.", name=m[1])),
    (
        r"a search that finds every event makes no rule; .*",
        lambda t, _: t("A search that finds every event makes no rule. Look for something first."),
    ),
    (r"this search finds every event, and makes no rule", lambda t, _: t("This search finds every event, and makes no rule.")),
    (r"this search finds no event at all, and makes no rule", lambda t, _: t("This search finds no event at all, and makes no rule.")),
    (
        r"a rule cannot say (.+); take it out of the search",
        lambda t, m: t("A rule cannot say {what}. Take it out of the search.", what=m[1]),
    ),
    (
        r"a rule runs on what comes, and cannot be about a time; .*",
        lambda t, _: t("A rule runs on what comes in, and cannot be about a time. Take the time out of the search."),
    ),
    (
        r"a rule compares numbers up to (\d+), and (\d+) is greater",
        lambda t, m: t("A rule compares numbers up to {most}; {value} is greater.", most=m[1], value=m[2]),
    ),
    (
        r"rules cannot name the column (\w+); .*",
        lambda t, m: t("Rules cannot name the column {name}. Take it out of the search.", name=m[1]),
    ),
    (
        r"a rule takes '(.)' for its small and its capital letter alike, .*",
        lambda t, m: t(
            "A rule takes {letter} for its small and its capital letter alike, and a search does not. Write ? for it.", letter=m[1]
        ),
    ),
)
