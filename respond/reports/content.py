"""What an accident report says, and what of it must be there when.

A content is a JSON object with every field of FIELDS: texts ('' when nothing is said), two times (ISO 8601 in UTC, or None), the kind of
accident and whether personal data is concerned. Only what `FIRST` names is needed to submit: article 19(3) asks for the facts without
delay, not for all of them. The fields, the kinds and what a closing report needs are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from core.errors import Invalid
from respond.cases.canonical import instant_text


class Accident(StrEnum):
    """The kind of accident [ours]. The words are stored."""

    MALWARE = "malware"
    INTRUSION = "intrusion"
    DENIAL_OF_SERVICE = "denial_of_service"
    DEFACEMENT = "defacement"
    PHISHING = "phishing"
    DATA_LEAK = "data_leak"
    OTHER = "other"
    UNKNOWN = "unknown"


class PersonalData(StrEnum):
    """Whether personal data is concerned. The words are stored."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


Content = dict[str, Any]

BLANK: Final[Mapping[str, Any]] = {
    "occurred_at": None,
    "learned_at": None,
    "system": "",
    "type": Accident.UNKNOWN.value,
    "summary": "",
    "impact": "",
    "cause": "",
    "actions": "",
    "contact": "",
    "personal_data": PersonalData.UNKNOWN.value,
}
FIELDS: Final = tuple(BLANK)
FIRST: Final = ("learned_at", "system", "summary")
"""What submitting needs."""
CLOSING: Final = (*FIRST, "cause", "impact", "actions")
"""What a closing report needs [ours]."""


def changed(content: Mapping[str, Any], given: Mapping[str, Any], at: datetime) -> Content:
    """`content` with the fields of `given` in it, times as text. Invalid when a time lies after `at`, or learning before happening."""
    made = {**BLANK, **content}
    for name, value in given.items():
        if name not in BLANK:
            raise Invalid(f"a report has no field {name}")
        made[name] = _plain(value)
    occurred, learned = instant(made, "occurred_at"), instant(made, "learned_at")
    for name, time in (("occurred_at", occurred), ("learned_at", learned)):
        if time is not None and time > at:
            raise Invalid(f"{name} lies in the future")
    if occurred is not None and learned is not None and learned < occurred:
        raise Invalid("learned_at lies before occurred_at: an accident is learned of after it happened")
    return made


def require(content: Mapping[str, Any], names: Iterable[str], what: str) -> None:
    """Invalid naming the fields of `names` that say nothing; `what` is what needs them."""
    if missing := [name for name in names if not content[name]]:
        raise Invalid(f"{what} needs {', '.join(missing)}")


def instant(content: Mapping[str, Any], name: str) -> datetime | None:
    """The time in field `name`, in UTC."""
    text: str | None = content[name]
    return None if text is None else datetime.fromisoformat(text)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    return value.strip() if isinstance(value, str) else value
