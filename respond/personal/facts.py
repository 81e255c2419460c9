"""What is known of a case: the controller's facts (the five items and how it went), and what the centre found. Times aware.

Nothing here names a data subject: kinds of data, systems and counts, never a person's values. `Words.en` may be empty; the Korean then
stands in the English letter too, marked as Korean.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.instants import Instant
from respond.personal.packs import Item

Line = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Part):
    """A text in Korean, and in English where there is one."""

    ko: str = Field(min_length=1, max_length=4000)
    en: str = Field(default="", max_length=4000)


class Facts(_Part):
    """What the controller tells. `items` are kinds of data ("name", "phone number"); None and empty: not known yet."""

    items: list[Line] = Field(default=[], max_length=100, description="PIO 7(1)1: the items divulged")
    occurred_from: Instant | None = Field(default=None, description="PIO 7(1)2: when, at the earliest")
    occurred_until: Instant | None = Field(default=None, description="PIO 7(1)2: when, at the latest")
    circumstances: Words | None = Field(default=None, description="PIO 7(1)2: how it came about")
    subject_measures: Words | None = Field(default=None, description="PIO 7(1)3: what the subjects can do to lessen the loss")
    countermeasures: Words | None = Field(default=None, description="PIO 7(1)4: countermeasures and procedures of relief")
    department: Words | None = Field(default=None, description="PIO 7(1)5: the department that takes reports of loss")
    contact: str = Field(default="", max_length=500, description="PIO 7(1)5: how to reach it")
    measures_taken: Words | None = Field(default=None, description="PIO 7(2): what was done to mitigate the loss, for the report")

    @model_validator(mode="after")
    def _in_order(self) -> Facts:
        if self.occurred_from and self.occurred_until and self.occurred_until < self.occurred_from:
            raise ValueError("occurred_until is before occurred_from")
        return self

    def missing(self) -> tuple[Item, ...]:
        """Which of the five items are not known yet, in their order."""
        known: dict[Item, bool] = {
            "items": bool(self.items),
            "circumstances": self.circumstances is not None and self.occurred_from is not None,
            "subject_measures": self.subject_measures is not None,
            "countermeasures": self.countermeasures is not None,
            "contact": self.department is not None and bool(self.contact.strip()),
        }
        return tuple(item for item, there in known.items() if not there)


class Findings(_Part):
    """What the centre found: advice to the controller, who determines."""

    systems: list[Line] = Field(default=[], max_length=200)
    first_seen: Instant | None = None
    last_seen: Instant | None = None
    outside_access: bool | None = Field(default=None, description="Whether the logs show illegal access from outside")
    estimated_subjects: int | None = Field(default=None, ge=0, le=1_000_000_000)
    summary: str = Field(default="", max_length=4000)


ITEM_TITLES: Final[dict[Item, tuple[str, str]]] = {
    "items": ("유출된 개인정보의 항목", "Items of personal information divulged"),
    "circumstances": ("유출된 시점과 그 경위", "Point in time and details of the divulgence"),
    "subject_measures": ("피해를 최소화하기 위해 정보주체가 할 수 있는 방법 등", "What you can do to mitigate loss"),
    "countermeasures": ("대응조치 및 피해 구제절차", "Countermeasures and procedures for relief"),
    "contact": ("피해 신고 등을 접수하는 담당 부서와 연락처", "Department that receives reports of loss, and its contact"),
}
