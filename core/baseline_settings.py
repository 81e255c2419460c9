"""Settings of the detectors beside the rules (docs/baselines.md): thresholds, the values watched, and what agencies have otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.events import EVENTS, Kind

Side = Literal["any", "internal", "external"]
Level = Literal["informational", "low", "medium", "high", "critical"]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Term(_Section):
    """Values that are watched: those of some columns together, in the events that `when`, `source_side` and `destination_side` choose."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,40}$", description="Its name; what was learned belongs to it")
    title: str = Field(min_length=1, description="What a new or rare value of it is, for people")
    title_ko: str = Field(default="", description="The same in Korean")
    columns: tuple[str, ...] = Field(min_length=1, max_length=3, description="Columns whose values together are one value; all must be set")
    when: dict[str, tuple[str, ...]] = Field(default={}, description="Columns of text, and the values they must have one of")
    source_side: Side = Field(default="any", description="Where the source address must be")
    destination_side: Side = Field(default="any", description="Where the destination address must be")
    level: Level = Field(default="low", description="Level of its detections")

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        for name in columns:
            if name not in EVENTS.names or EVENTS.column(name).kind is Kind.TIME:
                raise ValueError(f"events have no column {name!r} to watch")
        return columns

    @field_validator("when")
    @classmethod
    def _known_words(cls, when: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name in when:
            if name not in EVENTS.names or not EVENTS.column(name).kind.is_text:
                raise ValueError(f"events have no column of text {name!r}")
        return when


FIRST_SEEN_TERMS: Final = (
    Term(
        name="admin_address",
        title="administrator from a new address",
        title_ko="관리자가 새로운 주소에서 접속",
        columns=("user", "src_ip"),
        when={"log_class": ("auth", "config")},
        level="medium",
    ),
    Term(
        name="user_country",
        title="user from a new country",
        title_ko="사용자가 새로운 국가에서 접속",
        columns=("user", "src_country"),
        when={"log_class": ("vpn", "auth", "config")},
        level="medium",
    ),
    Term(
        name="user_network",
        title="user from a new autonomous system",
        title_ko="사용자가 새로운 통신망에서 접속",
        columns=("user", "src_asn"),
        when={"log_class": ("vpn", "auth", "config")},
    ),
    Term(
        name="inbound_port",
        title="new port allowed inbound",
        title_ko="외부에서 내부로 새 포트 허용",
        columns=("dst_port",),
        when={"log_class": ("firewall",), "disposition": ("allow",)},
        source_side="external",
        destination_side="internal",
        level="medium",
    ),
    Term(
        name="waf_user_agent",
        title="new user agent at protected web servers",
        title_ko="보호 대상 웹서버에 새로운 사용자 에이전트",
        columns=("user_agent",),
        when={"log_class": ("waf",)},
    ),
    Term(
        name="firewall_policy",
        title="new policy in firewall logs",
        title_ko="방화벽 로그에 새로운 정책",
        columns=("device", "rule"),
        when={"log_class": ("firewall",)},
    ),
    Term(name="source_format", title="source with a new format", title_ko="수집원에 새로운 로그 형식", columns=("source", "parser")),
    Term(name="source_device", title="source with a new device", title_ko="수집원에 새로운 장비", columns=("source", "device")),
)

RARE_TERMS: Final = (
    Term(
        name="outbound_port",
        title="rare port outbound",
        title_ko="외부로 나가는 드문 포트",
        columns=("dst_port",),
        when={"log_class": ("firewall",), "disposition": ("allow",)},
        source_side="internal",
        destination_side="external",
    ),
    Term(name="application", title="rare application", title_ko="드문 응용프로그램", columns=("app",)),
    Term(
        name="proxy_user_agent",
        title="rare user agent",
        title_ko="드문 사용자 에이전트",
        columns=("user_agent",),
        when={"log_class": ("proxy",)},
    ),
)


def _watched(ours: Iterable[Term], further: Iterable[Term], disabled: Iterable[str]) -> tuple[Term, ...]:
    named = {term.name: term for term in (*ours, *further)}
    return tuple(term for name, term in named.items() if name not in disabled)


class SilenceSettings(_Section):
    """A source that sends nothing when it always did."""

    enabled: bool = Field(default=True, description="Run it")
    slots: float = Field(default=3.0, ge=1, le=288, description="Told after this many five-minute slots in which it would have sent")
    learn_hours: int = Field(default=24, ge=2, le=672, description="A source known for less is not judged")


class FallingSettings(_Section):
    """A source that sends far less in an hour than in the same hour of other weeks."""

    enabled: bool = Field(default=True, description="Run it")
    share: float = Field(default=0.5, gt=0, lt=1, description="Told below this share of the median")
    deviations: float = Field(default=3.0, ge=0, le=100, description="And further below the median than so many median absolute deviations")
    min_lines: int = Field(default=200, ge=1, description="A median of fewer lines an hour is not judged")
    learn_hours: int = Field(default=24, ge=2, le=672, description="A source known for less is not judged")


class FirstSeenSettings(_Section):
    """Values never seen before at an agency."""

    enabled: bool = Field(default=True, description="Run it")
    history_days: int = Field(default=30, ge=1, le=90, description="A value is new when it was not seen for so long")
    learn_days: int = Field(default=7, ge=0, le=90, description="An agency whose values of a term are watched for less is not judged")
    terms: tuple[Term, ...] = Field(default=(), description="What is watched beside ours; one of the same name takes its place")
    disabled_terms: tuple[str, ...] = Field(default=(), description="Names of terms of ours that are not watched")

    @property
    def watched(self) -> tuple[Term, ...]:
        """Every term in force."""
        return _watched(FIRST_SEEN_TERMS, self.terms, self.disabled_terms)


class RareSettings(_Section):
    """Values that next to none of the last day's events have."""

    enabled: bool = Field(default=True, description="Run it")
    share: float = Field(default=0.0005, gt=0, lt=1, description="A value of a smaller share of an agency's events is rare")
    tail: float = Field(default=0.01, gt=0, le=1, description="Where all rare values together are more than this share, none is told")
    min_events: int = Field(default=10_000, ge=100, description="With fewer events a day nothing is rare")
    terms: tuple[Term, ...] = Field(default=(), description="What is watched beside ours; one of the same name takes its place")
    disabled_terms: tuple[str, ...] = Field(default=(), description="Names of terms of ours that are not watched")

    @property
    def watched(self) -> tuple[Term, ...]:
        """Every term in force."""
        return _watched(RARE_TERMS, self.terms, self.disabled_terms)


class BeaconSettings(_Section):
    """Connections from an internal host to one destination outside at regular intervals."""

    enabled: bool = Field(default=True, description="Run it")
    score: float = Field(default=0.85, gt=0, le=1, description="Told from this score on; 1 is a clock")
    min_connections: int = Field(default=20, ge=10, le=10_000, description="Fewer connections a day are not judged")
    min_hours: float = Field(default=3.0, ge=0.1, le=23, description="From the first to the last; less is not judged")
    popular_sources: int = Field(default=10, ge=1, description="A destination of more of the agency's hosts is nobody's beacon")
    ignore_ports: tuple[int, ...] = Field(default=(123,), description="Destination ports that are regular by nature")
    ignore_destinations: tuple[str, ...] = Field(default=(), description="Destinations that are known, as `details.destination` names them")


class OutboundSettings(_Section):
    """A host that sends far more to the outside than it did, and than others of its agency do."""

    enabled: bool = Field(default=True, description="Run it")
    hour_mb: int = Field(default=500, ge=1, description="Less in an hour is never told")
    day_mb: int = Field(default=2000, ge=1, description="Less in 24 hours is never told")
    deviations: float = Field(default=6.0, ge=1, le=1000, description="Median absolute deviations above its own median and that of others")
    min_peers: int = Field(default=5, ge=2, description="With fewer hosts there is nothing to compare with but its own history")


class BaselineSettings(_Section):
    """Detectors that learn what is usual (docs/baselines.md)."""

    lag_seconds: int = Field(default=120, ge=0, le=3600, description="How long after its end a stretch of time is looked at")
    silence: SilenceSettings = SilenceSettings()
    falling: FallingSettings = FallingSettings()
    first_seen: FirstSeenSettings = FirstSeenSettings()
    rare: RareSettings = RareSettings()
    beacon: BeaconSettings = BeaconSettings()
    outbound: OutboundSettings = OutboundSettings()
    agencies: dict[_Name, dict[str, dict[str, Any]]] = Field(
        default={}, description="What an agency has otherwise, such as `{jongno-gu: {silence: {slots: 6}, rare: {enabled: no}}}`"
    )

    @model_validator(mode="after")
    def _overrides_valid(self) -> BaselineSettings:
        for agency in self.agencies:
            try:
                self.of(agency)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(part) for part in first["loc"])
                raise ValueError(f"agencies.{agency}.{where}: {first['msg']}") from None
        return self

    def of(self, agency: str) -> BaselineSettings:
        """What holds for one agency."""
        own = self.agencies.get(agency)
        if not own:
            return self.model_copy(update={"agencies": {}})
        tree = self.model_dump(exclude={"agencies"})
        for section, values in own.items():
            known = tree.get(section)
            tree[section] = {**known, **values} if isinstance(known, dict) else values
        return BaselineSettings.model_validate(tree)
