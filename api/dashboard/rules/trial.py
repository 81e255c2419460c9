"""What came of lines a draft is tried on: for each line whether the rule matches it, by which parts, and what the parsers made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from api.dashboard.conditions import condition, detection
from api.dashboard.elements import tag_html
from api.dashboard.refusals import refusal
from api.dashboard.visitor import Visitor


def lines_html(visitor: Visitor, lines: list[str], found: dict[str, Any]) -> str:
    """The lines as items of a list."""
    titles = {one["rule_id"]: one["title"] for one in found["rules"]}
    return "".join(_line(visitor, text, one, titles) for text, one in zip(lines, found["lines"], strict=True))


def fired_html(visitor: Visitor, found: dict[str, Any]) -> str:
    """What the correlations fire for on all the lines together; '' without correlations."""
    t = visitor.t
    told = []
    for one in found["rules"]:
        if one["kind"] == "correlation":
            groups = found["fired"].get(one["rule_id"], [])
            said = "; ".join(", ".join(f"{name} {value}" for name, value in group.items()) for group in groups)
            verdict = t("fires for {groups}", groups=said) if groups else t("does not fire on these lines")
            told.append(f'<p class="rule-verdict is-{"yes" if groups else "no"}">{escape(one["title"])}: {escape(verdict)}</p>')
    return "".join(told)


def _line(visitor: Visitor, text: str, one: dict[str, Any], titles: dict[str, str]) -> str:
    t = visitor.t
    if one["refused"]:
        verdict, word = "unread", t("not read")
        below = f"<p class='soft'>{escape(t('No parser makes an event of it: {reason}', reason=refusal(t, one['refused'])))}</p>"
    else:
        verdict, word = ("yes", t("matches")) if one["matches"] else ("no", t("does not match"))
        trees = "".join(_tree(visitor, titles.get(rule, rule), part) for rule, part in one["rules"].items())
        columns = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in one["event"].items())
        below = (
            f"{trees}<details><summary>{escape(t('The event the parser {parser} made of it', parser=one['parser']))}</summary>"
            f"<dl class='event'>{columns}</dl></details>"
        )
    marked = _marked(text, {value for part in one["rules"].values() for value in _deciding(part)})
    parser = tag_html(one["parser"]) if one["parser"] else ""
    return f'<li><p><span class="rule-verdict is-{verdict}">{escape(word)}</span>{parser}</p><pre>{marked}</pre>{below}</li>'


def _tree(visitor: Visitor, title: str, part: dict[str, Any]) -> str:
    opened = "" if part["holds"] else " open"
    return f"<details{opened}><summary>{escape(visitor.t('Why: {title}', title=title))}</summary><ul>{_part(visitor, part)}</ul></details>"


def _part(visitor: Visitor, part: dict[str, Any]) -> str:
    """A part and those it is made of; whether it held is told by a sign and a word for who hears it."""
    t = visitor.t
    held = t("held") if part["holds"] else t("did not hold")
    sign = f'<span class="sign is-{"yes" if part["holds"] else "no"}" aria-hidden="true">{"✓" if part["holds"] else "✗"}</span>'
    name = f"<b>{escape(detection(t, part['name']))}</b> " if part["name"] else ""
    nothing = f" <i>{escape(t('nothing there'))}</i>"
    value = nothing if part["value"] is None else f" <code>{escape(part['value'])}</code>"
    has = "" if part["parts"] else value
    remark = f' <span class="soft">({escape(refusal(t, part["remark"]))})</span>' if part["remark"] else ""
    inner = "".join(_part(visitor, one) for one in part["parts"])
    below = f"<ul>{inner}</ul>" if inner else ""
    what = escape(condition(t, part["what"]))
    return f'<li>{sign}<span class="hears">{escape(held)}: </span>{name}{what}{has}{remark}{below}</li>'


def _deciding(part: dict[str, Any], *, turned: bool = False) -> Iterator[str]:
    """The values of the tests that hold and speak for the rule, not those that are excepted."""
    turned = turned != (part["what"] == "not")
    if part["holds"] == turned and part["what"] != "not":
        return
    if not part["parts"] and part["value"] and not turned:
        yield part["value"]
    for one in part["parts"]:
        yield from _deciding(one, turned=turned)


def _marked(text: str, values: set[str]) -> str:
    """The line with what decided marked, as far as it stands there as a whole."""
    wanted = sorted((value for value in values if value in text), key=len, reverse=True)
    if not wanted:
        return escape(text)
    pattern = re.compile("|".join(rf"(?<![\w.]){re.escape(value)}(?![\w.])" for value in wanted))
    shown, at = [], 0
    for found in pattern.finditer(text):
        shown.append(f"{escape(text[at : found.start()])}<mark>{escape(found[0])}</mark>")
        at = found.end()
    return "".join(shown) + escape(text[at:])
