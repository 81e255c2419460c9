"""What a pack asks of a case: pure functions from what is known to duties, with their reasons and due times.

- A threshold is reached by the subjects counted so far: a count not yet final can show that a rule applies, never that it does not.
- What nobody has determined is unknown, not absent: a duty that hangs on it stays to be evaluated.
- Knowing more never removes a duty: more subjects, or one more kind of data, leave every rule that applied in force. A smaller final
  count does, and is recorded as the reason.
- Where several rules of a track apply all are satisfied [ours]: the earliest due time, the most days, every group of recipients.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from core.clock import KST
from respond.personal.packs import InLieu, Pack, Recipient, Rule, Track


class Determination(BaseModel):
    """What the privacy officer has determined; None is "not known yet". `subjects` are those counted so far, until `count_final`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subjects: int | None = Field(default=None, ge=0, le=1_000_000_000)
    count_final: bool = False
    sensitive: bool | None = None
    unique_identifiers: bool | None = None
    outside_access: bool | None = Field(default=None, description="Illegal access from outside")
    provider: bool = Field(default=False, description="The controller is an information and communications service provider (DEC 48-4)")


class Finding(StrEnum):
    """Whether a duty exists."""

    REQUIRED = "required"
    NOT_REQUIRED = "not_required"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Duty:
    """One track under a pack. `rules` apply; `open_rules` would, if what is not known yet turned out so."""

    track: Track
    finding: Finding
    rules: tuple[Rule, ...]
    open_rules: tuple[Rule, ...]

    @property
    def days(self) -> int:
        """How many days a posting must stay; 0 without one."""
        return max((rule.days or 0 for rule in self.rules), default=0)

    @property
    def in_lieu(self) -> InLieu | None:
        """What may take the place of notices, if a rule that applies offers it."""
        return next((rule.in_lieu for rule in self.rules if rule.in_lieu is not None), None)

    def due_at(self, aware_at: datetime) -> datetime | None:
        """When it is due: the earliest of its rules; None is "without delay"."""
        return _earliest(self.rules, aware_at)

    def decide_by(self, aware_at: datetime) -> datetime | None:
        """When it would be due if a rule still open applied."""
        return _earliest(self.open_rules, aware_at)

    def lacking(self, told: frozenset[Recipient]) -> tuple[tuple[Recipient, ...], ...]:
        """The groups of recipients none of whom has been told."""
        return tuple(dict.fromkeys(rule.to_any for rule in self.rules if rule.to_any and not told & set(rule.to_any)))


def duty(pack: Pack, track: Track, known: Determination) -> Duty:
    """What `pack` asks of `track`."""
    judged = [(rule, _applies(rule, known)) for rule in pack.of(track)]
    applying = tuple(rule for rule, finding in judged if finding is Finding.REQUIRED)
    open_rules = tuple(rule for rule, finding in judged if finding is Finding.UNKNOWN)
    finding = Finding.REQUIRED if applying else Finding.UNKNOWN if open_rules else Finding.NOT_REQUIRED
    return Duty(track, finding, applying, open_rules)


def _applies(rule: Rule, known: Determination) -> Finding:
    if rule.providers_only and not known.provider:
        return Finding.NOT_REQUIRED
    asked = rule.when
    found = []
    if asked.subjects_at_least is not None:
        found.append(_reached(asked.subjects_at_least, known))
    for wanted, fact in (
        (asked.sensitive, known.sensitive),
        (asked.unique_identifiers, known.unique_identifiers),
        (asked.outside_access, known.outside_access),
    ):
        if wanted:
            found.append(Finding.UNKNOWN if fact is None else Finding.REQUIRED if fact else Finding.NOT_REQUIRED)
    if not found or Finding.REQUIRED in found:
        return Finding.REQUIRED
    return Finding.UNKNOWN if Finding.UNKNOWN in found else Finding.NOT_REQUIRED


def _reached(threshold: int, known: Determination) -> Finding:
    if known.subjects is not None and known.subjects >= threshold:
        return Finding.REQUIRED
    return Finding.NOT_REQUIRED if known.subjects is not None and known.count_final else Finding.UNKNOWN


def _earliest(rules: tuple[Rule, ...], aware_at: datetime) -> datetime | None:
    return min((aware_at + timedelta(hours=rule.hours) for rule in rules if rule.hours is not None), default=None)


def posted_until(posted_at: datetime, days: int) -> datetime:
    """When `days` of posting are over: the day of posting is not counted (Civil Act 157), whole days in Seoul follow."""
    day = posted_at.astimezone(KST).date() + timedelta(days=days + 1)
    return datetime.combine(day, time.min, KST)


def why(pack: Pack, duty: Duty, known: Determination) -> dict[str, str]:
    """Why a duty exists, does not, or cannot be told yet, in both languages, without anybody's name."""
    named = ", ".join(f"{rule.source.article} [{rule.source.marking}]" for rule in duty.rules or duty.open_rules)
    facts_ko, facts_en = _facts(known)
    if duty.finding is Finding.REQUIRED:
        return {"ko": f"{named} 적용: {facts_ko}", "en": f"{named} applies: {facts_en}"}
    if duty.finding is Finding.UNKNOWN:
        return {"ko": f"{named} 적용 여부 미확정: {facts_ko}", "en": f"whether {named} applies is not known yet: {facts_en}"}
    return {"ko": f"{pack.id} 의 어느 규칙도 적용되지 않음: {facts_ko}", "en": f"no rule of {pack.id} applies: {facts_en}"}


def _facts(known: Determination) -> tuple[str, str]:
    if known.subjects is None:
        ko, en = ["정보주체 수 미상"], ["subjects not counted"]
    elif known.count_final:
        ko, en = [f"정보주체 {known.subjects:,}명"], [f"{known.subjects:,} subjects"]
    else:
        ko, en = [f"정보주체 현재 {known.subjects:,}명"], [f"{known.subjects:,} subjects so far"]
    words_ko = {True: "있음", False: "없음", None: "미상"}
    words_en = {True: "yes", False: "no", None: "not known"}
    for fact, name_ko, name_en in (
        (known.sensitive, "민감정보", "sensitive data"),
        (known.unique_identifiers, "고유식별정보", "unique identifiers"),
        (known.outside_access, "외부 불법 접근", "illegal access from outside"),
    ):
        ko.append(f"{name_ko} {words_ko[fact]}")
        en.append(f"{name_en}: {words_en[fact]}")
    if known.provider:
        ko.append("정보통신서비스 제공자")
        en.append("a service provider")
    return ", ".join(ko), ", ".join(en)
