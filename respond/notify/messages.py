"""What news says: for people in Korean and English, for machines as JSON, for a SIEM as CEF.

A message names the case and what happened; whoever wants more reads the case, where scope and need-to-know hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from core.clock import KST
from respond.cases.models import Outgoing

CASES: Final[Mapping[str, tuple[str, str]]] = {
    "incident": ("사건", "Incident"),
    "request": ("요청", "Request"),
    "report": ("사고 보고", "Accident report"),
    "investigation": ("사고 조사", "Investigation"),
    "warning": ("경보", "Warning"),
    "readiness": ("대비태세", "Readiness"),
    "team": ("비상대책반", "Emergency team"),
    "warning_notice": ("경보 통지", "Notice of a warning"),
    "team_member": ("비상대책반원", "Member of an emergency team"),
    "personal_case": ("개인정보 사건", "Personal information case"),
    "personal_containment": ("개인정보 확산 방지", "Containment of a divulgence"),
    "personal_notice": ("개인정보 유출 통지", "Notice to data subjects"),
    "personal_posting": ("개인정보 유출 게시", "Posting of a divulgence"),
    "personal_report": ("개인정보 유출 신고", "Report of a divulgence"),
    "personal_possible_notice": ("유출 가능성 통지", "Notice of a possible divulgence"),
    "block": ("차단", "Block"),
    "share": ("위협정보 공유", "Shared threat information"),
    "share_receipt": ("위협정보 수신", "Receipt of threat information"),
    "drill": ("훈련", "Drill"),
    "centre": ("연계 관제센터", "Linked centre"),
    "campaign": ("연간 의무 계획", "Campaign of annual duties"),
    "duty": ("연간 의무", "Annual duty"),
    "rule_draft": ("규칙 초안", "Draft of a rule"),
}
_EXERCISE: Final = ("[훈련] ", "[EXERCISE] ")
_SEVERITY: Final[Mapping[str, int]] = {"informational": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
_CEF_HEADER: Final = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "})
_CEF_VALUE: Final = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": ""})


def of(news: Outgoing) -> dict[str, Any]:
    """The message, with all its forms can be made of."""
    return {
        "id": news.id,
        "kind": news.kind,
        "object": news.object,
        "agency": news.agency,
        "severity": news.severity,
        "exercise": news.exercise,
        "at": news.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "at_kst": news.at.astimezone(KST).strftime("%Y-%m-%d %H:%M:%S KST"),
        "data": news.data,
    }


def subject(message: Mapping[str, Any]) -> str:
    """One line, Korean first."""
    korean, english = _named(message)
    mark = _EXERCISE[0] if message["exercise"] else ""
    return f"[봉수] {mark}{korean} / {english}"[:200].replace("\r", " ").replace("\n", " ")


def text(message: Mapping[str, Any]) -> str:
    """The body of a mail."""
    korean, english = _named(message)
    lines = [
        f"{_EXERCISE[0] if message['exercise'] else ''}{korean}",
        f"{_EXERCISE[1] if message['exercise'] else ''}{english}",
        "",
        f"시각 / Time: {message['at_kst']}",
        f"기관 / Agency: {message['agency'] or '-'}",
        f"심각도 / Severity: {message['severity'] or '-'}",
    ]
    lines += [f"{name}: {value}" for name, value in sorted(message["data"].items())]
    return "\n".join(lines) + "\n"


def cef(message: Mapping[str, Any], version: str) -> str:
    """One CEF event (ArcSight Common Event Format, version 0) as the text of a syslog message."""
    head = "|".join(
        part.translate(_CEF_HEADER) for part in ("Bongsu", "Security Control Center", version, message["kind"], _named(message)[1])
    )
    values = {
        "externalId": message["object"],
        "rt": message["at"],
        "cs1Label": "agency",
        "cs1": message["agency"],
        "cs2Label": "exercise",
        "cs2": str(message["exercise"]).lower(),
    }
    extension = " ".join(f"{name}={str(value).translate(_CEF_VALUE)}" for name, value in values.items())
    return f"CEF:0|{head}|{_SEVERITY.get(message['severity'], 5)}|{extension}"


def _named(message: Mapping[str, Any]) -> tuple[str, str]:
    kind, _, action = message["kind"].partition(".")
    korean, english = CASES.get(kind, (kind, kind))
    number = message["object"].rpartition("/")[2]
    title = str(message["data"].get("title", ""))
    tail = f": {title}" if title else ""
    return f"{korean} {number} {action}{tail}", f"{english} {number} {action}{tail}"
