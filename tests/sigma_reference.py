"""A second, slow reading of Sigma, straight from the specification, to hold the compiler against. It shares no code with `detect`.

It works on the YAML of a rule as plain objects and on an event as a map of field name to text, number or None (absent).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

Event = Mapping[str, str | int | None]


def matches(rule: Mapping[str, Any], event: Event, line: str) -> bool:
    """Whether `rule` matches `event`, whose raw line is `line`."""
    detection = dict(rule["detection"])
    condition = detection.pop("condition")
    names = {name: _search(body, event, line) for name, body in detection.items()}
    text = condition
    for quantifier, pattern in re.findall(r"(1|all) of (\S+)", condition):
        found = [names[n] for n in names if re.fullmatch(pattern.replace("*", ".*").replace("them", ".*"), n)]
        text = text.replace(f"{quantifier} of {pattern}", str(any(found) if quantifier == "1" else all(found)))
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{name}\b", str(names[name]), text)
    return bool(eval(text, {}))  # noqa: S307 - the text is made of True, False, and, or, not and brackets


def _search(body: Any, event: Event, line: str) -> bool:
    if isinstance(body, Mapping):
        return all(_item(key, value, event) for key, value in body.items())
    if isinstance(body, list):
        return any(_search(element, event, line) for element in body)
    return _wildcards(str(body), line, cased=False, before=True, after=True)


def _item(key: str, wanted: Any, event: Event) -> bool:
    field, *modifiers = key.split("|")
    values = wanted if isinstance(wanted, list) else [wanted]
    results = [_value(event.get(field), value, modifiers, event) for value in values]
    result = all(results) if "all" in modifiers else any(results)
    return not result if "neq" in modifiers else result


def _value(actual: str | int | None, wanted: Any, modifiers: list[str], event: Event) -> bool:
    if "exists" in modifiers:
        return (actual is not None) is wanted
    if wanted is None or wanted == "":
        return actual is None
    if actual is None:
        return False
    for modifier, holds in {
        "lt": lambda a, b: a < b,
        "lte": lambda a, b: a <= b,
        "gt": lambda a, b: a > b,
        "gte": lambda a, b: a >= b,
    }.items():
        if modifier in modifiers:
            return _is_number(actual) and holds(float(actual), wanted)
    text = str(actual)
    if "re" in modifiers:
        flags = sum({"i": re.I, "m": re.M, "s": re.S}[m] for m in modifiers if m in ("i", "m", "s"))
        return re.search(wanted, text, flags) is not None
    if "cidr" in modifiers:
        return _is_address(text) and ipaddress.ip_address(text) in ipaddress.ip_network(wanted)
    cased = "cased" in modifiers
    if "fieldref" in modifiers:
        return _related(text, event.get(wanted), modifiers, cased)
    before, after = bool({"contains", "endswith"} & set(modifiers)), bool({"contains", "startswith"} & set(modifiers))
    return _wildcards(str(wanted), text, cased, before, after)


def _related(text: str, other: str | int | None, modifiers: list[str], cased: bool) -> bool:
    if other is None:
        return False
    left, right = (text, str(other)) if cased else (text.lower(), str(other).lower())
    if "contains" in modifiers:
        return right in left
    if "startswith" in modifiers:
        return left.startswith(right)
    if "endswith" in modifiers:
        return left.endswith(right)
    return left == right


def _wildcards(pattern: str, text: str, cased: bool, before: bool = False, after: bool = False) -> bool:
    r"""`*` any characters, `?` one; a backslash before `*`, `?` or a backslash takes away its meaning, elsewhere it is itself.

    `before` and `after`: anything may stand there.
    """
    out, at = "", 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\" and pattern[at + 1 : at + 2] in ("*", "?", "\\"):
            out += re.escape(pattern[at + 1])
            at += 1
        else:
            out += {"*": ".*", "?": "."}.get(character) or re.escape(character)
        at += 1
    out = (".*" if before else "") + out + (".*" if after else "")
    return re.fullmatch(out if cased else out.lower(), text if cased else text.lower(), re.S) is not None


def _is_number(value: str | int) -> bool:
    return isinstance(value, int) or re.fullmatch(r"\d+(\.\d+)?", value) is not None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
