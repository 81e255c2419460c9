"""The rules that fired, as they were then: what they look for, what held, and when they are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from api.dashboard.elements import severity_html, tag_html
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor


def rules_html(visitor: Visitor, why: Mapping[str, Any]) -> str:
    """Every version of a rule, with what held on how many of the kept lines."""
    counts: dict[str, Counter[str]] = {}
    lines: Counter[str] = Counter()
    for one in why["lines"]:
        lines[one["rule_id"]] += 1
        counts.setdefault(one["rule_id"], Counter()).update(name for name, holds in one["held"].items() if holds)
    return "".join(_rule_html(visitor, one, counts.get(one["rule_id"], Counter()), lines[one["rule_id"]]) for one in why["rules"])


def _rule_html(visitor: Visitor, rule: Mapping[str, Any], held: Counter[str], lines: int) -> str:
    t, words = visitor.t, rule["words"]
    language, other = ("en", "ko") if t.language == "en" else ("ko", "en")
    title = words.get(f"title_{language}") or rule["title"]
    second = rule["title"] if title != rule["title"] else words.get(f"title_{other}", "")
    advice = words.get(f"response_{language}") or words.get(f"response_{other}", "")
    told = words.get(f"description_{language}") or rule["description"]
    wrong = words.get(f"falsepositives_{language}", "").splitlines() or rule["false_positives"]
    link = f"/rules/{quote(rule['rule_id'], safe='')}"
    parts = [
        f'<h3><a href="{escape(link, quote=True)}">{escape(title)}</a></h3>',
        f'<p class="soft">{escape(second)}</p>' if second else "",
        f'<p class="line">{severity_html(visitor, rule["level"])}{_tags_html(visitor, rule["tags"])}</p>',
        _note_html(t("This version of the rule is not kept any more; shown is the present one."))
        if rule["kind"] and not rule["exact"]
        else "",
        _note_html(t("What this rule says is not known here any more.")) if not rule["kind"] else "",
        f'<p class="told">{escape(told)}</p>' if told else "",
        _looks_for_html(visitor, rule, held, lines),
        _list_html(t("When it is wrong"), wrong),
        f'<h4>{escape(t("What to do"))}</h4><p class="told">{escape(advice)}</p>' if advice else "",
    ]
    return f'<article class="why">{"".join(parts)}</article>'


def _looks_for_html(visitor: Visitor, rule: Mapping[str, Any], held: Counter[str], lines: int) -> str:
    t = visitor.t
    if not rule["condition"]:
        return ""
    source = f'<span class="soft">{escape(rule["log_source"])}</span>' if rule["log_source"] else ""
    condition = f'<h4>{escape(t("Condition"))}</h4><pre tabindex="0">{escape(rule["condition"])}</pre>{source}'
    return condition + "".join(_detection_html(visitor, name, said, held[name], lines) for name, said in rule["detections"].items())


def _detection_html(visitor: Visitor, name: str, said: str, held: int, lines: int) -> str:
    t = visitor.t
    standing = t("held on {count} of {all} lines", count=number(held), all=number(lines))
    kind = "holds" if held else "not"
    return (
        f'<details class="detection is-{kind}"><summary><b class="mono">{escape(name)}</b> '
        f'<span class="standing-of">{escape(standing)}</span></summary><pre tabindex="0">{escape(said)}</pre></details>'
    )


def _tags_html(visitor: Visitor, tags: Sequence[str]) -> str:
    return "".join(f" {tag_html(_tag(visitor, one))}" for one in tags)


def _tag(visitor: Visitor, tag: str) -> str:
    """A tag as people cite it: `attack.t1110.003` is T1110.003, `attack.credential-access` Credential access."""
    space, _, name = tag.partition(".")
    if space != "attack":
        return tag
    is_number = name[:1] in "tgs" and name[1:2].isdigit()
    return name.upper() if is_number else visitor.t.word("tactic", name.replace("_", "-"))


def _list_html(title: str, items: Sequence[str]) -> str:
    return f"<h4>{escape(title)}</h4><ul>{''.join(f'<li>{escape(one)}</li>' for one in items)}</ul>" if items else ""


def _note_html(message: str) -> str:
    return f'<p class="notice">{escape(message)}</p>'
