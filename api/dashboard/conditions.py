"""Parts of a rule's condition in the reader's language: `detect.explain` says them in English, near to how Sigma writes them.

Names of fields and what they are compared with stay as they are written. What is not known here is told as it is.
"""

from __future__ import annotations

import re
from typing import Final

from api.dashboard.texts import Texts

_TEST: Final = re.compile(
    r"(?P<field>.+?) (?:(?P<alone>is absent|is there|is not there)"
    r"|(?P<how>is within|is one of|is like|is the field|is|contains the field|contains|begins with the field|begins with"
    r"|ends with the field|ends with|fits the regular expression)"
    r" (?P<value>.+?)(?: with (?P<flags>[ims]+))?(?P<cased> \(letter case counts\))?"
    r"|(?P<part>minute|hour|day|week|month|year) (?P<relation>[<>]?=|[<>]) (?P<number>[\d.]+))",
    re.DOTALL,
)
_NAMED: Final = re.compile(r"(?P<what>filter|log source): (?P<name>.+)", re.DOTALL)


def condition(t: Texts, said: str) -> str:
    """A part as `Part.what` or `Hit.test` says it: how parts belong together, or a test on a field."""
    found = _TEST.fullmatch(said)
    if found is None:
        return t.word("condition_part", said)
    field = t("the line") if found["field"] == "the line" else found["field"]
    if found["part"]:
        return f"{field} {t.word('time_part', found['part'])} {found['relation']} {found['number']}"
    how = "with flags" if found["flags"] else found["how"] or found["alone"]
    told = _forms(t)[how].format(field=field, value=found["value"], flags=found["flags"])
    return f"{told} {t('(letter case counts)')}" if found["cased"] else told


def detection(t: Texts, name: str) -> str:
    """The name of a part: of the rule's own, of a filter laid over it, or its log source."""
    found = _NAMED.fullmatch(name)
    return f"{t.word('condition_name', found['what'])}: {found['name']}" if found else name


def _forms(t: Texts) -> dict[str, str]:
    return {
        "is absent": t("{field} is absent"),
        "is there": t("{field} is there"),
        "is not there": t("{field} is not there"),
        "is": t("{field} is {value}"),
        "is one of": t("{field} is one of {value}"),
        "is like": t("{field} is like {value}"),
        "is within": t("{field} is within {value}"),
        "contains": t("{field} contains {value}"),
        "begins with": t("{field} begins with {value}"),
        "ends with": t("{field} ends with {value}"),
        "fits the regular expression": t("{field} fits the regular expression {value}"),
        "with flags": t("{field} fits the regular expression {value} with {flags}"),
        "is the field": t("{field} is the field {value}"),
        "contains the field": t("{field} contains the field {value}"),
        "begins with the field": t("{field} begins with the field {value}"),
        "ends with the field": t("{field} ends with the field {value}"),
    }
