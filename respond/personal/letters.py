"""Letters of a case: notices to data subjects, postings and reports, in Korean and English, from what the case knows.

What is not known is named in `missing` and said so in the text; nothing is invented. A letter is one immutable version with the SHA-256
of both texts. The letter of an exercise says on its first line that it is one. Times are shown in KST.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Final, Literal

import sqlalchemy as sa
import yaml
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from core.clock import KST
from core.errors import Invalid, NotFound
from respond.personal.facts import ITEM_TITLES, Facts, Words
from respond.personal.models import PersonalLetter
from respond.personal.packs import ITEMS, Item

Language = Literal["ko", "en"]


class LetterKind(StrEnum):
    """The letters there are. The words are stored."""

    FIRST_NOTICE = "first_notice"
    SUPPLEMENT_NOTICE = "supplement_notice"
    POSTING = "posting"
    REPORT = "report"
    POSSIBLE_NOTICE = "possible_notice"
    RETRACTION = "retraction"


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    body: str


class _Letter(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    items: bool = True
    needs: tuple[str, ...] = ()
    ko: _Text
    en: _Text


_LETTERS: Final[Mapping[LetterKind, _Letter]] = {
    LetterKind(kind): _Letter.model_validate(tree)
    for kind, tree in yaml.safe_load((Path(__file__).parent / "letters.yaml").read_text(encoding="utf-8")).items()
}
_UNKNOWN: Final = {
    "ko": "아직 확인되지 않았습니다. 확인되는 대로 추가로 알려 드립니다.",
    "en": "Not known yet; it will be told as soon as it is confirmed.",
}
_EXERCISE: Final = {
    "ko": "[훈련] 이 문서는 훈련용이며 외부로 보내지 않습니다.",
    "en": "[EXERCISE] This letter is part of an exercise and is not to be sent.",
}


@dataclass(frozen=True, slots=True)
class Material:
    """What a letter is written from. `notified` is how many notices went out, None before the first."""

    number: str
    controller: Words
    facts: Facts
    aware_at: datetime | None
    subjects: int | None
    count_final: bool
    notified: int | None
    exercise: bool


@dataclass(frozen=True, slots=True)
class Written:
    """A letter's texts, what it could not tell, and the hash of both texts."""

    ko: str
    en: str
    missing: tuple[str, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.ko}\0{self.en}".encode()).hexdigest()


def write(kind: LetterKind, known: Material) -> Written:
    """The letter of `kind` from what is known."""
    letter = _LETTERS[kind]
    missing: list[str] = list(known.facts.missing()) if letter.items else []
    missing += [name for name in letter.needs if not _results(known, "ko")[name]]
    return Written(_text(letter.ko, known, "ko"), _text(letter.en, known, "en"), tuple(missing))


def _text(text: _Text, known: Material, language: Language) -> str:
    told = {name: value or _UNKNOWN[language] for name, value in _results(known, language).items()}
    body = Template(text.body).substitute(
        told,
        controller=_in(known.controller, language),
        aware_at=_shown(known.aware_at) or _UNKNOWN[language],
        items="\n\n".join(_item(place, item, known.facts, language) for place, item in enumerate(ITEMS, 1)),
    )
    head = [_EXERCISE[language]] if known.exercise else []
    return "\n\n".join([*head, f"{text.title} ({known.number})", body]) + "\n"


def _item(place: int, item: Item, facts: Facts, language: Language) -> str:
    title = ITEM_TITLES[item][0 if language == "ko" else 1]
    return f"{place}. {title}\n   {_told(item, facts, language) or _UNKNOWN[language]}"


def _told(item: Item, facts: Facts, language: Language) -> str:
    """What is known of an item, which may be part of it; '' when nothing is."""
    match item:
        case "items":
            return ", ".join(facts.items)
        case "circumstances":
            parts = [_span(facts, language), _in(facts.circumstances, language) or _UNKNOWN[language]]
            return "\n   ".join(parts) if facts.circumstances or facts.occurred_from else ""
        case "subject_measures":
            return _in(facts.subject_measures, language)
        case "countermeasures":
            return _in(facts.countermeasures, language)
        case "contact":
            return ", ".join(part for part in (_in(facts.department, language), facts.contact.strip()) if part)


def _span(facts: Facts, language: Language) -> str:
    times = [shown for shown in (_shown(facts.occurred_from), _shown(facts.occurred_until)) if shown]
    return " ~ ".join(dict.fromkeys(times)) or _UNKNOWN[language]


def _results(known: Material, language: Language) -> dict[str, str]:
    """What a report tells beside the items; '' for what is not known."""
    subjects = ""
    if known.subjects is not None:
        so_far = "" if known.count_final else {"ko": " (집계 중)", "en": " (still counting)"}[language]
        subjects = f"{known.subjects:,}{'명' if language == 'ko' else ''}{so_far}"
    notice = ""
    if known.notified is not None:
        notice = {"ko": f"{known.notified:,}명에게 통지", "en": f"{known.notified:,} notices sent"}[language]
    return {"subjects": subjects, "notice_result": notice, "measures_taken": _in(known.facts.measures_taken, language)}


def _in(words: Words | None, language: Language) -> str:
    if words is None:
        return ""
    return words.ko if language == "ko" or not words.en else words.en


def _shown(at: datetime | None) -> str:
    return at.astimezone(KST).strftime("%Y-%m-%d %H:%M KST") if at else ""


def keep(session: Session, written: Written, *, case_number: str, kind: LetterKind, pack: str, actor: str, at: datetime) -> PersonalLetter:
    """Keep a letter as the next version of its kind. The case's row is locked by the caller, so versions have no gap."""
    last = session.scalar(
        sa.select(sa.func.max(PersonalLetter.version)).where(PersonalLetter.case_number == case_number, PersonalLetter.kind == kind.value)
    )
    letter = PersonalLetter(
        case_number=case_number,
        kind=kind.value,
        version=(last or 0) + 1,
        made_at=at,
        made_by=actor,
        pack=pack,
        missing=list(written.missing),
        text_ko=written.ko,
        text_en=written.en,
        sha256=written.sha256,
    )
    session.add(letter)
    session.flush()
    return letter


def find(session: Session, case_number: str, kind: LetterKind, version: int) -> PersonalLetter:
    """One version; NotFound when there is none. The caller has found the case within its scope."""
    query = sa.select(PersonalLetter).where(
        PersonalLetter.case_number == case_number, PersonalLetter.kind == kind.value, PersonalLetter.version == version
    )
    letter = session.scalar(query)
    if letter is None:
        raise NotFound(f"{case_number} has no {kind.value} {version}")
    return letter


def to_send(session: Session, case_number: str, kinds: tuple[LetterKind, ...], version: int, may_lack: frozenset[str]) -> PersonalLetter:
    """The letter a step sends; Invalid when there is no such version, or it lacks what it must tell."""
    for kind in kinds:
        try:
            letter = find(session, case_number, kind, version)
        except NotFound:
            continue
        if lacking := [item for item in letter.missing if item not in may_lack]:
            raise Invalid(f"{kind.value} {version} does not tell {', '.join(lacking)} yet: state it and write the letter anew")
        return letter
    raise Invalid(f"{case_number} has no {' or '.join(kinds)} {version}: write the letter first")
