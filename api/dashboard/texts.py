"""Every word the dashboard shows, in Korean and English side by side, and how times and numbers are written.

Times on screen are KST; UTC is shown on hover. A test holds every entry to having both languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from core.clock import KST

Language = Literal["ko", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ko", "en")

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "product": ("봉수", "Bongsu"),
    "tagline": ("서울 보안관제센터", "Security Control Center"),
    "skip": ("본문으로 건너뛰기", "Skip to content"),
    "language.other": ("English", "한국어"),
    "theme.switch": ("밝게/어둡게 바꾸기", "Switch light and dark"),
    "logout": ("로그아웃", "Log out"),
    "user.mayors_office": ("시장실", "Mayor's office"),
    "user.analyst": ("분석가", "Analyst"),
    "user.soc_lead": ("관제 책임자", "SOC lead"),
    "user.agency_officer": ("기관 담당자", "Agency officer"),
    "user.auditor": ("감사자", "Auditor"),
    "user.privacy_officer": ("개인정보 보호책임자", "Privacy officer"),
    "user.admin": ("시스템 관리자", "Administrator"),
    "login.title": ("로그인", "Log in"),
    "login.name": ("사용자 이름", "User name"),
    "login.password": ("비밀번호", "Password"),
    "login.submit": ("로그인", "Log in"),
    "login.wrong": ("이름 또는 비밀번호가 맞지 않습니다.", "The name or the password is wrong."),
    "login.wait": (
        "실패가 잦아 잠시 막혔습니다. {seconds}초 뒤에 다시 시도하세요.",
        "Too many failed attempts. Try again in {seconds} seconds.",
    ),
    "login.unavailable": (
        "지금은 로그인할 수 없습니다. 잠시 뒤 다시 시도하세요.",
        "Logging in does not work right now. Try again in a moment.",
    ),
    "login.foreign": ("다른 사이트에서 온 요청이라 받지 않았습니다.", "This log-in came from another site and was refused."),
    "login.notice": ("허가된 사용자만 이용할 수 있으며, 모든 접속은 기록됩니다.", "For authorised users only. Every access is recorded."),
    "overview.title": ("상황판", "Overview"),
    "banner.warning": ("국가 사이버위기경보 {level} · {issuer} {reference}", "National cyber warning: {level} · {issuer} {reference}"),
    "banner.warning.note": (
        "{title} · {since}부터 · 대상 {scope}. 국가 통지를 기록한 것이며, 시는 경보를 발령하지 않습니다.",
        "{title} · since {since} KST · for {scope}. Recorded from the national notice; the city issues no warning.",
    ),
    "banner.everywhere": ("모든 기관", "every agency"),
    "banner.more": (" 외 {count}개 기관", " and {count} more"),
    "banner.readiness": ("관제센터 준비태세: {level}", "The centre's own readiness: {level}"),
    "banner.readiness.note": (
        "{number} · {since}부터. 센터 자체의 준비태세이며 국가 경보가 아닙니다.",
        "{number} · since {since} KST. The centre's own decision; it is no national warning.",
    ),
    "card.rate": ("초당 이벤트", "Events per second"),
    "card.rate.note": ("최근 1분 평균", "mean of the last minute"),
    "card.received": ("오늘 받은 로그", "Lines received today"),
    "card.today": ("자정(KST)부터", "since midnight KST"),
    "card.quarantined": ("오늘 격리된 로그", "Quarantined today"),
    "card.quarantined.note": ("받은 로그의 {share}", "{share} of what came"),
    "card.lag": ("처리 대기", "Waiting"),
    "card.lag.note": ("메시지, 모든 단계", "messages, all stages"),
    "card.lag.problem": ("{stage}: 멈춤", "{stage} is failing"),
    "card.detections": ("오늘 탐지", "Detections today"),
    "card.open": ("처리 중인 사고", "Open incidents"),
    "card.open.note": ("심각·높음 {grave}건", "{grave} critical or high"),
    "chart.title": ("분당 이벤트", "Events per minute"),
    "chart.note": ("최근 60분", "last 60 minutes"),
    "chart.events": ("이벤트", "events"),
    "chart.quarantined": ("격리", "quarantined"),
    "chart.detections": ("탐지", "detections"),
    "chart.empty": ("최근 60분 동안 들어온 이벤트가 없습니다.", "No event came in the last 60 minutes."),
    "chart.hint": (
        "장비의 syslog를 이 서버로 보내거나 POST /v1/logs로 올려 보세요.",
        "Point a device's syslog at this server, or push lines to POST /v1/logs.",
    ),
    "incidents.title": ("최근 사고", "Newest incidents"),
    "incidents.empty": ("아직 사고가 없습니다.", "No incidents yet."),
    "incidents.hint": ("규칙에 걸린 로그가 들어오면 여기에 나타납니다.", "They appear here as soon as a rule fires."),
    "incidents.forbidden": ("이 역할은 사고를 보지 않습니다.", "This role does not read incidents."),
    "incidents.keys": ("j · k로 이동, Enter로 열기", "j and k to move, Enter to open"),
    "column.severity": ("심각도", "Severity"),
    "column.number": ("번호", "Number"),
    "column.agency": ("기관", "Agency"),
    "column.incident": ("사고", "Incident"),
    "column.state": ("상태", "State"),
    "column.detections": ("탐지", "Detections"),
    "column.time": ("마지막 이벤트", "Last event"),
    "severity.critical": ("심각", "Critical"),
    "severity.high": ("높음", "High"),
    "severity.medium": ("보통", "Medium"),
    "severity.low": ("낮음", "Low"),
    "severity.informational": ("정보", "Info"),
    "state.new": ("신규", "New"),
    "state.triaged": ("분류됨", "Triaged"),
    "state.false_positive": ("오탐", "False positive"),
    "state.confirmed": ("확정", "Confirmed"),
    "state.contained": ("차단됨", "Contained"),
    "state.eradicated": ("제거됨", "Eradicated"),
    "state.recovering": ("복구 중", "Recovering"),
    "state.closed": ("종결", "Closed"),
    "state.reopened": ("재개", "Reopened"),
    "agency._unknown": ("미확인 출처", "Unknown source"),
    "exercise": ("훈련", "Exercise"),
    "restricted": ("열람 제한", "Restricted"),
    "personal_data": ("개인정보 관련", "Personal data"),
    "incident.back": ("상황판으로", "Back to overview"),
    "incident.first": ("첫 이벤트", "First event"),
    "incident.last": ("마지막 이벤트", "Last event"),
    "incident.opened": ("사고 열림", "Opened"),
    "incident.detections": ("탐지 건수", "Detections"),
    "incident.entity": ("주 대상", "Main entity"),
    "incident.assignee": ("담당자", "Assignee"),
    "incident.centre_aware": ("센터가 안 시각", "Centre learned"),
    "incident.agency_aware": ("기관이 안 시각", "Agency learned"),
    "incident.entities": ("관련 대상", "Entities"),
    "incident.entities.empty": ("이 사고의 로그에는 대상이 적혀 있지 않습니다.", "The lines of this incident name nobody and nothing."),
    "incident.evidence": ("증거", "Evidence"),
    "incident.evidence.note": ("탐지 {all}건 중 {kept}건을 증거로 보관", "{kept} of {all} detections kept as evidence"),
    "incident.evidence.hidden": (
        "이 역할은 원본 로그를 보지 않습니다. 대신 SHA-256 값을 보입니다.",
        "This role does not read raw logs; their SHA-256 is shown instead.",
    ),
    "incident.merged": ("이 사고는 {number}에 합쳐졌습니다.", "This incident was merged into {number}."),
    "unavailable": ("지금은 보여 드릴 수 없습니다.", "This cannot be shown right now."),
    "unavailable.hint": (
        "데이터베이스가 응답하지 않습니다. 잠시 뒤 다시 시도하세요.",
        "The database does not answer. Try again in a moment.",
    ),
    "incident.missing": ("그런 사고가 없습니다.", "There is no such incident."),
    "incident.missing.hint": (
        "번호가 틀렸거나, 다른 기관의 사고이거나, 이 역할이 볼 수 없는 사고입니다.",
        "The number is wrong, it is another agency's, or not for this role.",
    ),
    "entity.ip": ("IP 주소", "IP address"),
    "entity.user": ("사용자", "User"),
    "entity.device": ("장비", "Device"),
    "entity.domain": ("도메인", "Domain"),
    "entity.url": ("URL", "URL"),
    "role.source": ("출발지", "source"),
    "role.target": ("목적지", "target"),
    "role.named": ("로그에 적힘", "named"),
    "role.requested": ("요청됨", "requested"),
    "role.queried": ("질의됨", "queried"),
    "role.reporter": ("보고 장비", "reporter"),
    "compliance.title": ("법령 준수", "Compliance"),
    "compliance.note": ("{time} 기준. 기록에 대한 센터 자체의 판단입니다.", "As of {time} KST. The centre's own reading of its records."),
    "compliance.forbidden": ("이 역할은 법령 준수 현황을 보지 않습니다.", "This role does not read compliance."),
    "compliance.forbidden.hint": ("필요하면 관제 책임자에게 문의하세요.", "Ask the SOC lead if you need it."),
    "compliance.hidden": ("이 역할이 보지 않는 근거 {count}건", "{count} facts this role does not read"),
    "compliance.last": ("최근 {time}", "last {time}"),
    "compliance.lacking": ("해당 기관: {agencies}", "Agencies: {agencies}"),
    "compliance.more": ("외 {count}곳", "and {count} more"),
    "compliance.centre": ("관제센터", "the centre"),
    "column.paragraph": ("조문", "Paragraph"),
    "column.asks": ("요구 사항", "What it asks"),
    "column.standing": ("준수 상태", "Standing"),
    "column.evidence": ("근거", "Evidence"),
    "standing.met": ("충족", "Met"),
    "standing.partly": ("일부 충족", "Partly"),
    "standing.overdue": ("기한 경과", "Overdue"),
    "standing.nothing": ("해당 기록 없음", "Nothing yet"),
    "standing.hidden": ("열람 대상 아님", "Not shown"),
    "standing.outside": ("시스템 범위 밖", "Outside"),
    "stale": ("새 값을 받지 못하고 있습니다. 마지막 갱신 {time}", "No fresh figures. Last update {time}"),
    "live": ("실시간", "Live"),
}


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language."""

    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key` with its placeholders filled. KeyError when there is none: a test walks all uses."""
        text = TEXTS[key][LANGUAGES.index(self.language)]
        return text.format(**values) if values else text

    def word(self, kind: str, word: str) -> str:
        """The text for a stored word of `kind` (severity, state, ...); the word itself when it is not known here."""
        known = TEXTS.get(f"{kind}.{word}")
        return known[LANGUAGES.index(self.language)] if known else word


def number(value: float) -> str:
    """A count as people read it: with separators, and one decimal below ten if it is not whole."""
    if isinstance(value, float) and value < 10 and value != int(value):
        return f"{value:.1f}"
    return f"{round(value):,}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent; small shares are not shown as none."""
    if not part or not whole:
        return "0%"
    percent = 100 * part / whole
    return "<0.1%" if percent < 0.1 else f"{percent:.1f}%"


def kst(at: datetime) -> str:
    """A time as shown, to the second."""
    return at.astimezone(KST).strftime("%Y-%m-%d %H:%M:%S")


def kst_short(at: datetime, now: datetime) -> str:
    """A time as shown in lists: without the date when it is today's."""
    local, today = at.astimezone(KST), now.astimezone(KST)
    return local.strftime("%H:%M:%S") if local.date() == today.date() else local.strftime("%m-%d %H:%M")


def utc(at: datetime) -> str:
    """A time in UTC, ISO 8601, for the hover text."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
