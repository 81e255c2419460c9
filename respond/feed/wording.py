"""The words of the feed's papers in Korean and English. Times are shown in KST, whatever the language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from core.clock import KST

LANGUAGES: Final = ("ko", "en")


@dataclass(frozen=True, slots=True)
class Words:
    """One language: `fields` and `kinds` label what an item has, the rest are sentences (`str.format`)."""

    title: str
    subtitle: str
    period: str
    count: str
    none: str
    issued: str
    columns: tuple[str, ...]
    fields: Mapping[str, str]
    values: Mapping[str, str]
    version: str
    published: str
    restates: str
    late: str
    fixed: str
    fingerprint: str


_KO: Final = Words(
    title="사이버 사고 보고서",
    subtitle="사이버보안 조례 제19조 제3항에 따른 기관 보고",
    period="대상 기간",
    count="게시 {items}건 (사고 {reports}건)",
    none="이 기간에 게시된 보고가 없습니다.",
    issued="발행",
    columns=("보고 번호", "접수 번호", "기관", "시스템", "인지 시각", "보고 시각"),
    fields={
        "agency": "기관",
        "receipt": "접수 번호",
        "incident": "관련 사건",
        "occurred_at": "발생 시각",
        "learned_at": "인지 시각",
        "submitted_at": "보고 시각",
        "received_at": "접수 시각",
        "type": "사고 유형",
        "system": "대상 시스템",
        "summary": "개요",
        "impact": "피해 및 영향",
        "cause": "원인",
        "actions": "조치 사항",
        "personal_data": "개인정보 관련",
    },
    values={
        "first": "최초 보고",
        "followup": "추가 보고",
        "closing": "종결 보고",
        "yes": "예",
        "no": "아니오",
        "unknown": "확인 중",
        "malware": "악성코드",
        "intrusion": "침입",
        "denial_of_service": "서비스 거부",
        "defacement": "변조",
        "phishing": "피싱",
        "data_leak": "정보 유출",
        "other": "기타",
    },
    version="제{version}판 · {kind}",
    published="게시 {at}",
    restates="정정·보완: {at}에 게시된 제{version}판을 대신합니다.",
    late="내부 목표 경과 후 보고 ({after}). 법정 기한이 아니라 센터의 내부 목표입니다. 사유: {reason}",
    fixed="한번 발행된 기간의 내용은 바뀌지 않습니다. 이후의 정정은 날짜를 적어 다음 기간에 실립니다. "
    "훈련은 싣지 않습니다. 시각은 모두 KST입니다.",
    fingerprint="문서 지문(SHA-256)",
)
_EN: Final = Words(
    title="Accident reports",
    subtitle="Reports of agencies under article 19(3) of the cybersecurity ordinance",
    period="Period",
    count="Published: {items} (accidents: {reports})",
    none="No report was published in this period.",
    issued="Issued",
    columns=("Report", "Receipt", "Agency", "System", "Learned of", "Submitted"),
    fields={
        "agency": "Agency",
        "receipt": "Receipt",
        "incident": "Incident",
        "occurred_at": "Occurred",
        "learned_at": "Learned of",
        "submitted_at": "Submitted",
        "received_at": "Received",
        "type": "Kind of accident",
        "system": "System",
        "summary": "Summary",
        "impact": "Damage and impact",
        "cause": "Cause",
        "actions": "Actions taken",
        "personal_data": "Personal data",
    },
    values={
        "first": "first report",
        "followup": "follow-up report",
        "closing": "closing report",
        "yes": "yes",
        "no": "no",
        "unknown": "not known yet",
        "malware": "malware",
        "intrusion": "intrusion",
        "denial_of_service": "denial of service",
        "defacement": "defacement",
        "phishing": "phishing",
        "data_leak": "data leak",
        "other": "other",
    },
    version="Version {version} · {kind}",
    published="published {at}",
    restates="Restatement: takes the place of version {version}, published {at}.",
    late="Submitted {after} past the internal target of the centre, which is not a time limit of the law. Reason: {reason}",
    fixed="An issued period never changes: a later correction appears in a later period as a dated restatement. "
    "Exercises are left out. All times are KST.",
    fingerprint="SHA-256 of the document",
)
WORDS: Final[Mapping[str, Words]] = {"ko": _KO, "en": _EN}


def clock_time(text: str | None) -> str:
    """An ISO 8601 instant as KST; '-' when there is none."""
    return "-" if text is None else datetime.fromisoformat(text).astimezone(KST).strftime("%Y-%m-%d %H:%M KST")


def agency_name(document: Mapping[str, Any], agency: str, language: str) -> str:
    """The agency's name in a language, or its id."""
    names: Mapping[str, str] = document["agencies"].get(agency, {})
    return names.get(language) or names.get("ko") or agency


def how_late(seconds: int, language: str) -> str:
    """A duration for people, in days, hours and minutes."""
    days, rest = divmod(seconds, 86400)
    hours, minutes = rest // 3600, max(1, rest % 3600 // 60)
    parts = zip((days, hours, minutes), ("일", "시간", "분") if language == "ko" else (" d", " h", " min"), strict=True)
    return " ".join(f"{count}{unit}" for count, unit in parts if count)
