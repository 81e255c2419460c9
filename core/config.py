"""Typed settings: one YAML file, then the environment over it, validated whole before anything starts.

A setting `api.port` is `BONGSU_API__PORT` in the environment. An unknown key, a wrong type or an impossible combination stops the
start with a ConfigError that names the key. Secrets are `SecretStr`: they never show in a log or an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, PrivateAttr, SecretStr, ValidationError, model_validator

from core.baseline_settings import BaselineSettings
from core.centre_settings import CentreSettings
from core.drill_settings import DrillSettings
from core.duty_settings import DutySettings
from core.errors import ConfigError, FileError
from core.identity_settings import IdentitySettings
from core.sharing_settings import SharingSettings

ENV_PREFIX = "BONGSU_"
_OF_COMMANDS = frozenset({"BONGSU_CONFIG", "BONGSU_PASSWORD", "BONGSU_KEY"})  # options of the command line, not settings


def _known_zone(name: str) -> str:
    if name:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name!r} is not a time zone of the IANA list, such as Asia/Seoul") from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
Port = Annotated[int, Field(ge=0, le=65535)]
Level = Literal["informational", "low", "medium", "high", "critical"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Section):
    """How to reach Kafka."""

    bootstrap_servers: str = Field(default="localhost:9092", description="Brokers to ask first, `host:port` joined by commas")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How a connection is protected and who we say we are"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="With a SASL protocol: how the password is proven"
    )
    sasl_username: str = Field(default="", description="With a SASL protocol: the user")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="With a SASL protocol: the password; give it in the environment")
    ca_file: Path | None = Field(default=None, description="With SSL: who signs the brokers' certificates (PEM); empty: the system's list")
    replication_factor: int = Field(default=3, ge=1, description="Copies of each topic we create; 1 only where there is one broker")
    min_insync_replicas: int = Field(default=2, ge=1, description="Copies that must have a message before it counts as durable")


class BusSettings(_Section):
    """The bus between stages."""

    kind: Literal["embedded", "kafka"] = Field(default="embedded", description="SQLite files in the data folder, or Kafka")
    partitions: int = Field(default=1, ge=1, le=1024, description="Partitions of every topic; a deployment on Kafka wants 12 or more")
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._]*$", description="Kafka: put before every topic's name")
    max_backlog_mb: int = Field(default=4096, ge=16, description="Embedded: senders wait when this much is not yet consumed")
    min_free_disk_mb: int = Field(default=512, ge=0, description="Embedded: senders wait when the disk has less room than this")
    epoch: str = Field(
        default="", pattern=r"^[A-Za-z0-9]*$", description="Kafka: change it when topics were made anew; empty: taken from the cluster's id"
    )
    kafka: KafkaSettings = KafkaSettings()


class ClickHouseSettings(_Section):
    """How to reach ClickHouse."""

    host: str = Field(default="localhost", description="Name or address of the server")
    port: Port = Field(default=9000, description="Port of the native protocol (9440 is usual with TLS)")
    database: str = Field(default="bongsu", description="Database that holds our tables; made when it is missing")
    user: str = Field(default="default", description="User to log in as")
    password: SecretStr = Field(default=SecretStr(""), description="Its password; give it in the environment")
    secure: bool = Field(default=False, description="Connect with TLS")
    ca_file: Path | None = Field(default=None, description="With TLS: who signs the server's certificate (PEM); empty: the system's list")


class StoreSettings(_Section):
    """The columnar store."""

    kind: Literal["embedded", "clickhouse"] = Field(
        default="embedded", description="The engine inside our process (chdb), or a ClickHouse server"
    )
    clickhouse: ClickHouseSettings = ClickHouseSettings()


class DatabaseSettings(_Section):
    """The transactional records."""

    url: SecretStr | None = Field(default=None, description="SQLAlchemy URL; empty: SQLite in the data folder")


class TlsSettings(_Section):
    """A server's side of TLS (RFC 5425 for syslog)."""

    certificate: Path = Field(description="Our certificate with its chain (PEM)")
    key: Path = Field(description="Its private key (PEM), readable by us alone")
    client_ca: Path | None = Field(
        default=None,
        description="Who signs clients' certificates (PEM). Syslog: their names decide the source. API: a registered one is an identity",
    )
    require_client_certificate: bool = Field(default=False, description="Refuse a client without a certificate of `client_ca`")

    @model_validator(mode="after")
    def _client_ca_present(self) -> TlsSettings:
        if self.require_client_certificate and self.client_ca is None:
            raise ValueError("require_client_certificate needs client_ca")
        return self


class Listener(_Section):
    """One syslog socket. With `agency` and `source` set, everything that arrives on it is theirs."""

    name: Name = Field(description="Its name in logs and metrics")
    kind: Literal["udp", "tcp", "tls"] = Field(description="How lines come: datagrams, a TCP stream, or TLS over TCP (RFC 5425)")
    host: str = Field(default="0.0.0.0", description="Address to listen on")  # noqa: S104 - a log receiver listens to the network
    port: Port = Field(description="Port to listen on; 0 takes a free one")
    agency: str = Field(default="", description="Agency of everything that comes here; empty: found by certificate or address")
    source: str = Field(default="", description="Source of everything that comes here; needs `agency`")
    tls: TlsSettings | None = Field(default=None, description="For kind tls, and only for it")
    max_connections: int = Field(default=2048, ge=1, description="Streams open at once; one more is closed")

    @model_validator(mode="after")
    def _whole(self) -> Listener:
        if (self.kind == "tls") != (self.tls is not None):
            raise ValueError("a listener of kind tls has a tls section, and no other has one")
        if self.source and not self.agency:
            raise ValueError("source without agency")
        return self


class MaskedKind(_Section):
    """Masking of one kind. It is on unless somebody answers for turning it off."""

    enabled: bool = Field(default=True, description="Mask it before anything is stored or published")
    reason: str = Field(default="", description="Why it is turned off; without a reason it cannot be")
    approved_by: str = Field(default="", description="Who answers for turning it off")

    @model_validator(mode="after")
    def _answered_for(self) -> MaskedKind:
        if not self.enabled and not (self.reason.strip() and self.approved_by.strip()):
            raise ValueError("masking is turned off only with a reason and approved_by")
        return self


class MaskingSettings(_Section):
    """What is starred out of lines at intake."""

    rrn: MaskedKind = MaskedKind()
    card: MaskedKind = MaskedKind()
    password: MaskedKind = MaskedKind()

    @property
    def off(self) -> dict[str, MaskedKind]:
        """The kinds that are turned off."""
        kinds = {"rrn": self.rrn, "card": self.card, "password": self.password}
        return {name: kind for name, kind in kinds.items() if not kind.enabled}


class IntakeSettings(_Section):
    """Receiving lines."""

    listeners: tuple[Listener, ...] = Field(
        default=(Listener(name="udp", kind="udp", port=5514), Listener(name="tcp", kind="tcp", port=5514)),
        description="The syslog sockets",
    )
    max_line_bytes: int = Field(default=65536, ge=1024, le=1 << 20, description="A longer line is cut here and flagged")
    max_body_mb: int = Field(default=32, ge=1, le=1024, description="POST /v1/logs: the largest body, after decompression")
    batch_lines: int = Field(default=16384, ge=1, description="Lines of one source that go onto the bus as one message")
    batch_bytes: int = Field(default=4 << 20, ge=1024, description="Bytes of lines that go onto the bus as one message")
    linger_ms: int = Field(default=50, ge=1, le=5000, description="How long a line may wait for others")
    default_timezone: Zone = Field(
        default="Asia/Seoul", min_length=1, description="Of times without an offset, where the source sets none (IANA name)"
    )
    max_clock_skew_minutes: int = Field(default=24 * 60, ge=1, description="A device's time further off than this is flagged")
    masking: MaskingSettings = MaskingSettings()
    exercise_key: str = Field(
        default="",
        description="The centre's public key (`bongsu audit key`), by which drills are known; empty: of the signing key, if it is here",
    )
    parsers_folder: Path | None = Field(
        default=None, description="Your own parsers, loaded beside ours; one of the same name takes the place of ours; empty: none"
    )

    @model_validator(mode="after")
    def _distinct_names(self) -> IntakeSettings:
        names = [listener.name for listener in self.listeners]
        if len(set(names)) != len(names):
            raise ValueError("two listeners have the same name")
        return self


class SourceSettings(_Section):
    """One log source of an agency, recognised by address range or by certificate name (subject alternative or common name)."""

    name: Name = Field(description="Its name, distinct within the agency")
    addresses: tuple[IPvAnyNetwork, ...] = Field(default=(), description="Address ranges it sends from (CIDR)")
    certificates: tuple[str, ...] = Field(default=(), description="Names in its client certificate")
    timezone: Zone = Field(default="", description="Of its times without an offset (IANA name); empty: `intake.default_timezone`")
    replay: bool = Field(default=False, description="It sends old logs: its lines are marked as a replay and never flagged for their clock")


class Agency(_Section):
    """An agency of the city and what sends its logs."""

    id: Name = Field(description="Short name that marks its lines; never change it")
    name_ko: str = Field(description="Name on Korean screens")
    name_en: str = Field(default="", description="Name on English screens")
    sources: tuple[SourceSettings, ...] = Field(default=(), description="What sends its logs")


class EnrichmentSettings(_Section):
    """Dictionaries that say more of an event's addresses and names (docs/enrichment.md). Their files are read anew when they change."""

    assets: Path | None = Field(default=None, description="Inventory of systems: CSV or YAML of cidr, system, owner, importance[, agency]")
    country_db: Path | None = Field(default=None, description="Database of countries in MaxMind's format, such as GeoLite2-Country.mmdb")
    asn_db: Path | None = Field(default=None, description="Database of autonomous systems in MaxMind's format, such as GeoLite2-ASN.mmdb")
    known_bad: dict[Name, Path] = Field(
        default={}, description="Known-bad lists by name: text files of addresses, networks and domains, one a line"
    )


class DetectSettings(_Section):
    """Rules."""

    own_rules: bool = Field(default=True, description="Load the rules that come with the product")
    rule_folders: tuple[Path, ...] = Field(default=(), description="Folders of further Sigma rules, read with their subfolders")
    disabled_rules: tuple[str, ...] = Field(default=(), description="Ids of rules that do not run")
    history_days: int = Field(default=30, ge=1, le=3650, description="How far back a new or changed rule is searched for in what is kept")
    lateness_hours: int = Field(
        default=24, ge=0, le=744, description="How late an event may come and still be joined to others by correlation rules"
    )
    baselines: BaselineSettings = BaselineSettings()


class IndicatorSettings(_Section):
    """Indicators of known-bad things (docs/indicators.md)."""

    max_import_mb: int = Field(default=2048, ge=1, description="The largest file of a feed, after decompression")


class IncidentSettings(_Section):
    """What people do with incidents (docs/incidents.md)."""

    severity_matrix: Path | None = Field(
        default=None, description="Your own matrix of rule level x asset importance (YAML) in place of `respond/incidents/severity.yaml`"
    )
    attachment_mb: int = Field(default=20, ge=1, le=200, description="The largest file that is attached to an incident")


class ReportSettings(_Section):
    """Accident reports of agencies (docs/reports.md)."""

    target_hours: float | None = Field(
        default=24,
        gt=0,
        le=24 * 365,
        description="How soon after learning of it an accident should be reported: our own target [ours], not a time limit of the law, "
        'which says "without delay"; empty: no target',
    )


class WarningSettings(_Section):
    """National cyber crisis warnings, which are recorded here and never issued (docs/warnings.md)."""

    levels_file: Path | None = Field(default=None, description="The city's own levels, measures and effects (YAML); empty: ours")


class ReadinessSettings(_Section):
    """The centre's own readiness, which is no warning (docs/readiness.md)."""

    rules_file: Path | None = Field(default=None, description="The city's own levels and rules of readiness (YAML); empty: ours")
    on_call: tuple[str, ...] = Field(
        default=(), description="Users asked about a proposal when nobody is on call, in this order; empty: every SOC lead, again"
    )


class TeamSettings(_Section):
    """Emergency teams (docs/emergency-team.md)."""

    composition_file: Path | None = Field(default=None, description="The city's own composition of a team (YAML); empty: ours")


class PersonalSettings(_Section):
    """Personal-information cases (docs/personal-information.md)."""

    packs_folder: Path | None = Field(
        default=None, description="Rule packs of your own, loaded beside ours; one of the same id takes the place of ours; empty: none"
    )


class RespondSettings(_Section):
    """Incidents."""

    group_window_minutes: int = Field(default=60, ge=1, description="Detections this near to an open incident of the same group join it")
    evidence_per_incident: int = Field(
        default=200, ge=1, description="Raw lines copied into an incident; the rest are counted and stay in the store"
    )
    lead_issues_requests: bool = Field(
        default=False, description="The mayor delegated it: a SOC lead issues requests of articles 12, 15(3), 17(4), 19(2) and 21(4)"
    )
    never_block: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="Networks no block may touch (CIDR): the city's own. The agencies' own sources are never blocked anyway"
    )
    longest_silence_days: int = Field(default=90, ge=1, le=366, description="A silence over detections ends after this at the latest")
    incidents: IncidentSettings = IncidentSettings()
    reports: ReportSettings = ReportSettings()
    warnings: WarningSettings = WarningSettings()
    readiness: ReadinessSettings = ReadinessSettings()
    teams: TeamSettings = TeamSettings()
    personal: PersonalSettings = PersonalSettings()
    drills: DrillSettings = DrillSettings()
    sharing: SharingSettings = SharingSettings()
    centres: CentreSettings = CentreSettings()
    duties: DutySettings = DutySettings()


class Channel(_Section):
    """A way news goes out of the centre: e-mail (`smtp`), a signed HTTP call (`webhook`), or CEF over syslog (`syslog`)."""

    name: Name = Field(description="Its name, for routes and the delivery log")
    kind: Literal["smtp", "webhook", "syslog"] = Field(description="How it is told")
    host: str = Field(default="", description="smtp, syslog: the server")
    port: Port = Field(default=0, description="smtp, syslog: its port; 0: 25, 587 with starttls, 465 with tls; 514")
    security: Literal["none", "starttls", "tls"] = Field(default="starttls", description="smtp: how the connection is protected")
    user: str = Field(default="", description="smtp: log in as; empty: no log-in")
    password: SecretStr = Field(default=SecretStr(""), description="smtp: its password")
    sender: str = Field(default="", description="smtp: the address it comes from")
    to: tuple[str, ...] = Field(default=(), description="smtp: who gets it; whoever is on call gets what is meant for them besides")
    url: str = Field(default="", pattern=r"^(https?://.+)?$", description="webhook: where it is posted")
    secret: SecretStr = Field(default=SecretStr(""), description="webhook: the key of its HMAC-SHA-256 signature")
    protocol: Literal["udp", "tcp"] = Field(default="tcp", description="syslog: how it is sent")
    drills: bool = Field(default=False, description="News of exercises goes out by it too; only for a channel that ends in this building")

    @model_validator(mode="after")
    def _complete(self) -> Channel:
        needed = {"smtp": ("host", "sender"), "webhook": ("url", "secret"), "syslog": ("host",)}[self.kind]
        values = {"host": self.host, "sender": self.sender, "url": self.url, "secret": self.secret.get_secret_value()}
        if missing := [name for name in needed if not values[name]]:
            raise ValueError(f"the {self.kind} channel {self.name!r} needs {' and '.join(missing)}")
        return self


class Route(_Section):
    """Which news goes to which channels."""

    kinds: tuple[str, ...] = Field(default=("*",), description="Patterns of kinds, such as `incident.*` or `report.submit`")
    severities: tuple[Level, ...] = Field(default=(), description="Only news of these severities; empty: any, or none")
    agencies: tuple[str, ...] = Field(default=(), description="Only news about these agencies; empty: any")
    channels: tuple[Name, ...] = Field(min_length=1, description="Where it goes")
    page: bool = Field(default=False, description="Whoever is on call must acknowledge it, or the next is called")


class QuietHours(_Section):
    """Hours (KST) in which news waits until they end. Critical news and calls to whoever is on call never wait."""

    begin: time = Field(default=time(22), description="From")
    end: time = Field(default=time(7), description="Until")


class NotifySettings(_Section):
    """Telling people and machines (docs/notifications.md)."""

    channels: tuple[Channel, ...] = Field(default=(), description="The ways out")
    routes: tuple[Route, ...] = Field(default=(), description="What goes where")
    quiet_hours: QuietHours | None = Field(default=None, description="Empty: none")
    attempts: int = Field(default=10, ge=1, le=50, description="A delivery that failed so often is put aside until somebody sends it again")
    acknowledge_minutes: int = Field(default=15, ge=1, le=1440, description="Whoever is on call has so long before the next is called")
    page_channel: Name | None = Field(default=None, description="The smtp channel that calls whoever is on call; empty: only on screen")

    @model_validator(mode="after")
    def _channels_known(self) -> NotifySettings:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("two channels have the same name")
        for route in self.routes:
            if unknown := set(route.channels) - set(names):
                raise ValueError(f"a route names the unknown channel {', '.join(sorted(unknown))}")
        if self.page_channel and self.page_channel not in {one.name for one in self.channels if one.kind == "smtp"}:
            raise ValueError("page_channel is the name of an smtp channel")
        return self


class AuditSettings(_Section):
    """The audit trail (docs/audit.md)."""

    checkpoint_minutes: int = Field(default=10, ge=1, le=1440, description="How often its newest row is signed and its copy continued")
    copy_folder: Path | None = Field(
        default=None, description="Second place of the trail, best on another machine's disk; empty: `audit` in the data folder"
    )
    signing_key: Path | None = Field(
        default=None, description="The centre's Ed25519 key (PEM), made when missing; empty: `keys/signing.pem` in the data folder"
    )


class ApiSettings(_Section):
    """The REST API and the dashboard."""

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: Port = Field(default=8514, description="Port to listen on; 0 takes a free one")
    tls: TlsSettings | None = Field(default=None, description="Serve HTTPS ourselves; empty: plain HTTP, for loopback or a proxy with TLS")
    session_hours: int = Field(default=12, ge=1, le=168, description="How long a login lasts")
    requests_per_minute: int = Field(default=1200, ge=10, description="Requests one person or machine may send to one process of the API")
    identity: IdentitySettings = IdentitySettings()


class StageMetricsSettings(_Section):
    """Metrics of a stage's own process in a cluster. Names of agencies and counts, in plain HTTP, to whoever asks."""

    host: str = Field(default="127.0.0.1", description="Address to serve `/metrics` at; open it to the monitoring network only")
    port: Port = Field(default=0, description="Port to serve `/metrics` at; 0: not served. The API's process serves them at its own port")


class DemoSettings(_Section):
    """The demo feed."""

    lines_per_second: int = Field(default=50, ge=1, le=200_000, description="Lines the demo feed makes")
    seed: int = Field(default=20260101, description="The same seed makes the same lines")


class Settings(_Section):
    """All settings of one installation."""

    data_dir: Path = Field(default=Path("var"), description="Folder of everything kept on this machine")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least grave message logged")
    bus: BusSettings = BusSettings()
    store: StoreSettings = StoreSettings()
    database: DatabaseSettings = DatabaseSettings()
    intake: IntakeSettings = IntakeSettings()
    agencies: tuple[Agency, ...] = Field(default=(), description="The agencies whose logs come here")
    enrichment: EnrichmentSettings = EnrichmentSettings()
    detect: DetectSettings = DetectSettings()
    indicators: IndicatorSettings = IndicatorSettings()
    respond: RespondSettings = RespondSettings()
    audit: AuditSettings = AuditSettings()
    notify: NotifySettings = NotifySettings()
    api: ApiSettings = ApiSettings()
    stage_metrics: StageMetricsSettings = StageMetricsSettings()
    demo: DemoSettings = DemoSettings()
    _environment: frozenset[str] = PrivateAttr(default=frozenset())

    @model_validator(mode="after")
    def _agencies_known(self) -> Settings:
        ids = [agency.id for agency in self.agencies]
        if len(set(ids)) != len(ids):
            raise ValueError("two agencies have the same id")
        for listener in self.intake.listeners:
            if listener.agency and listener.agency not in ids:
                raise ValueError(f"listener {listener.name!r} names the unknown agency {listener.agency!r}")
        for agency in self.detect.baselines.agencies:
            if agency not in ids:
                raise ValueError(f"detect.baselines.agencies names the unknown agency {agency!r}")
        oidc = self.api.identity.oidc
        if oidc is not None and (unknown := set(oidc.agencies.values()) - set(ids)):
            raise ValueError(f"api.identity.oidc.agencies names the unknown agency {', '.join(sorted(unknown))}")
        return self

    @property
    def from_environment(self) -> frozenset[str]:
        """The keys (dotted) the environment set."""
        return self._environment

    @property
    def signing_key(self) -> Path:
        """The file of the centre's own key pair."""
        return self.audit.signing_key or self.data_dir / "keys" / "signing.pem"

    @property
    def secrets_key(self) -> Path:
        """The file of the key that seals secrets of people."""
        return self.api.identity.secrets_key or self.data_dir / "keys" / "secrets.key"

    @property
    def audit_copy(self) -> Path:
        """The folder of the audit trail's copy."""
        return self.audit.copy_folder or self.data_dir / "audit"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'bongsu.db').absolute()}"


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of `file` with the environment over it. ConfigError names the first wrong key and the reason."""
    tree = _read(file) if file else {}
    given = set()
    for name, value in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENV_PREFIX) and name not in _OF_COMMANDS:
            path = name.removeprefix(ENV_PREFIX).lower().split("__")
            _put(tree, path, value)
            given.add(".".join(path))
    settings = validate(tree)
    settings._environment = frozenset(given)
    return settings


def validate(tree: Mapping[str, Any]) -> Settings:
    """Settings of a plain tree; ConfigError as in `load`."""
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise ConfigError(key, _reason(first["type"], first["msg"])) from None


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such setting"
    return message.removeprefix("Value error, ")


def _read(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise FileError(file, f"is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise FileError(file, "must hold a mapping of sections")
    return tree


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(".".join(path), "the environment sets a key inside something that is not a section")
        tree = inner
    tree[path[-1]] = yaml.safe_load(value) if value[:1] in "[{" else value
