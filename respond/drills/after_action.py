"""The after-action report of a scored drill as JSON and PDF, in Korean and English: a pure function of the frozen score.

It says on every page that it tells of an exercise, and that the targets are the scenario's own [ours].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.permissions import Agencies
from respond.cases.canonical import canonical, instant_text, sha256
from respond.drills import scoring
from respond.drills.models import Drill
from respond.drills.scenario import Scenario
from respond.feed.paper import typeset
from respond.feed.wording import agency_name, clock_time


@dataclass(frozen=True, slots=True)
class _Words:
    """One language."""

    title: str
    subtitle: str
    facts: tuple[str, str, str, str, str]
    kinds: Mapping[bool, str]
    notice: Mapping[str, str]
    count: str
    columns: tuple[str, ...]
    role: str
    lines: str
    receipt: str
    incidents: str
    seconds: str
    never: str
    late: str
    missed: str
    unfinished: str
    findings: str
    fixed: str
    fingerprint: str


_KO: Final = _Words(
    title="[훈련] 사이버 위기 대응훈련 결과 보고",
    subtitle="사이버보안 조례 제17조 제2항 제5호 및 제21조에 따른 훈련",
    facts=("훈련", "시나리오", "구분", "시작", "평가"),
    kinds={True: "합동훈련 (제21조 제2항)", False: "자체훈련 (제21조 제1항)"},
    notice={"noticed": "사전 통보함", "notice_waived": "사전 통보 생략: {reason}", "": ""},
    count="탐지 목표 {expected}건 중 탐지 {found}건, 목표 시간 안 {in_time}건",
    columns=("기관", "탐지", "목표 시간 안", "최초 탐지", "최초 분류", "최초 보고"),
    role="역할",
    lines="전송한 로그",
    receipt="통보 확인",
    incidents="훈련 사건",
    seconds="{seconds}초",
    never="없음",
    late="{name}: {seconds} (목표 {within}초를 넘김)",
    missed="{name}: 탐지하지 못함",
    unfinished="로그 전송이 끝까지 이루어지지 않았습니다 ({sending}).",
    findings="총평",
    fixed="시간은 그 기관의 첫 로그를 보낸 때부터 잽니다. 목표 시간은 법정 기한이 아니라 시나리오의 목표입니다 [자체 기준]. "
    "훈련은 통계와 보고에 넣지 않습니다. 시각은 모두 KST입니다.",
    fingerprint="훈련 · 문서 지문(SHA-256)",
)
_EN: Final = _Words(
    title="[EXERCISE] After-action report",
    subtitle="Training under articles 17(2)5 and 21 of the cybersecurity ordinance",
    facts=("Drill", "Scenario", "Kind", "Started", "Scored"),
    kinds={True: "Joint training (article 21(2))", False: "Training of one agency (article 21(1))"},
    notice={"noticed": "notice was given", "notice_waived": "without notice: {reason}", "": ""},
    count="Found {found} of {expected}, {in_time} in time",
    columns=("Agency", "Found", "In time", "First found", "First triaged", "First reported"),
    role="Part",
    lines="Lines sent",
    receipt="Notice acknowledged",
    incidents="Exercise incidents",
    seconds="{seconds} s",
    never="never",
    late="{name}: {seconds} (past the target of {within} s)",
    missed="{name}: not found",
    unfinished="Not all lines were sent ({sending}).",
    findings="What it showed",
    fixed="Times count from the first line sent for the agency. The targets are the scenario's and no time limits of the law [ours]. "
    "An exercise is in no statistics and no feed. All times are KST.",
    fingerprint="Exercise · SHA-256 of the document",
)
_WORDS: Final[Mapping[str, _Words]] = {"ko": _KO, "en": _EN}


def document(drill: Drill, scope: Agencies, names: Mapping[str, tuple[str, str]], waived: str) -> dict[str, Any]:
    """The report as data, of the agencies in scope; `names` are (Korean, English), `waived` is why there was no notice ('' there was)."""
    scenario = Scenario.model_validate(drill.scenario)
    score = scoring.limited(drill.score, scope)
    told = [one["agency"] for one in score["agencies"]]
    return {
        "drill": drill.number,
        "exercise": True,
        "title": drill.title,
        "joint": drill.joint,
        "scenario": {name: getattr(scenario, name) for name in ("id", "version", "title_ko", "title_en", "about_ko", "about_en")},
        "planned_for": instant_text(drill.planned_for) if drill.planned_for else None,
        "started_at": instant_text(drill.started_at) if drill.started_at else None,
        "notice": drill.notice,
        "notice_waived_because": waived,
        "findings": drill.findings,
        "agencies": {agency: dict(zip(("ko", "en"), names.get(agency, (agency, "")), strict=True)) for agency in told},
        "score": score,
    }


def as_json(report: Mapping[str, Any]) -> bytes:
    """The report as JSON, the same bytes for the same report."""
    return canonical(report).encode()


def as_pdf(report: Mapping[str, Any], language: str) -> bytes:
    """The report as a PDF in `ko` or `en`."""
    words, score = _WORDS[language], report["score"]
    return typeset(
        {
            "language": language,
            "title": words.title,
            "subtitle": words.subtitle,
            "facts": list(zip(words.facts, _facts(report, words, language), strict=True)),
            "count": words.count.format(**score),
            "columns": words.columns,
            "rows": [_row(report, one, words, language) for one in score["agencies"]],
            "sections": [*(_section(report, one, words, language) for one in score["agencies"]), *_closing(report, words)],
            "fixed": words.fixed,
            "hash": f"{words.fingerprint}: {sha256(canonical(report))}",
        },
        score["computed_at"],
    )


def _facts(report: Mapping[str, Any], words: _Words, language: str) -> Sequence[str]:
    scenario = report["scenario"]
    state = "notice_waived" if report["notice_waived_because"] else "noticed" if report["notice"] else ""
    notice = words.notice[state].format(reason=report["notice_waived_because"])
    return (
        f"{report['drill']}  {report['title']}",
        f"{scenario[f'title_{language}']} ({scenario['id']}, {scenario['version']})",
        " · ".join(filter(None, (words.kinds[report["joint"]], notice))),
        clock_time(report["started_at"]),
        clock_time(report["score"]["computed_at"]),
    )


def _row(report: Mapping[str, Any], one: Mapping[str, Any], words: _Words, language: str) -> list[str]:
    finds = one["finds"]
    return [
        agency_name(report, one["agency"], language),
        f"{sum(find['found'] for find in finds)} / {len(finds)}",
        f"{sum(find['in_time'] for find in finds)} / {len(finds)}",
        *(_seconds(one[name], words) for name in ("detect_seconds", "triage_seconds", "report_seconds")),
    ]


def _section(report: Mapping[str, Any], one: Mapping[str, Any], words: _Words, language: str) -> dict[str, Any]:
    notes = [words.unfinished.format(sending=report["score"]["sending"])] if one["sent"] < one["lines"] else []
    for find in one["finds"]:
        told = {"name": find[language], "within": f"{find['within']:g}", "seconds": _seconds(find["seconds"], words)}
        if not find["in_time"]:
            notes.append((words.late if find["found"] else words.missed).format(**told))
    rows = [
        (words.role, one["role"]),
        (words.lines, f"{one['sent']} / {one['lines']}"),
        (words.receipt, clock_time(one["notice_acknowledged_at"])),
        (words.incidents, ", ".join(one["incidents"]) or words.never),
        *((find[language], f"{_seconds(find['seconds'], words)}  {find['incident']}") for find in one["finds"]),
    ]
    return {"title": agency_name(report, one["agency"], language), "kind": "", "published": "", "notes": notes, "rows": rows}


def _closing(report: Mapping[str, Any], words: _Words) -> list[dict[str, Any]]:
    if not report["findings"]:
        return []
    return [{"title": words.findings, "kind": "", "published": "", "notes": [report["findings"]], "rows": []}]


def _seconds(value: float | None, words: _Words) -> str:
    return words.never if value is None else words.seconds.format(seconds=f"{value:,.1f}")
