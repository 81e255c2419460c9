"""Typed settings: one YAML file, then the environment over it, validated whole before anything starts.

A setting `api.port` is `BONGSU_API__PORT` in the environment. An unknown key, a wrong type or an impossible combination stops the
start with a ConfigError that names the key. Secrets are `SecretStr`: they never show in a log or an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError, model_validator

from core.errors import ConfigError

ENV_PREFIX = "BONGSU_"


def _known_zone(name: str) -> str:
    if name:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name!r} is not a time zone of the IANA list, such as Asia/Seoul") from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Section):
    """How to reach Kafka."""

    bootstrap_servers: str = "localhost:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ca_file: Path | None = None
    replication_factor: int = Field(default=3, ge=1)
    min_insync_replicas: int = Field(default=2, ge=1)


class BusSettings(_Section):
    """The bus between stages."""

    kind: Literal["embedded", "kafka"] = "embedded"
    partitions: int = Field(default=1, ge=1, le=1024, description="Partitions of every topic; a deployment on Kafka wants 12 or more")
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._]*$")
    max_backlog_mb: int = Field(default=4096, ge=16, description="Embedded: senders wait when this much is not yet consumed")
    min_free_disk_mb: int = Field(default=512, ge=0, description="Embedded: senders wait when the disk has less room than this")
    epoch: str = Field(
        default="", pattern=r"^[A-Za-z0-9]*$", description="Kafka: change it when topics were made anew; empty: taken from the cluster's id"
    )
    kafka: KafkaSettings = KafkaSettings()


class ClickHouseSettings(_Section):
    """How to reach ClickHouse."""

    host: str = "localhost"
    port: Port = 9000
    database: str = "bongsu"
    user: str = "default"
    password: SecretStr = SecretStr("")
    secure: bool = False
    ca_file: Path | None = None


class StoreSettings(_Section):
    """The columnar store."""

    kind: Literal["embedded", "clickhouse"] = "embedded"
    clickhouse: ClickHouseSettings = ClickHouseSettings()


class DatabaseSettings(_Section):
    """The transactional records."""

    url: SecretStr | None = Field(default=None, description="SQLAlchemy URL; empty: SQLite in the data folder")


class TlsSettings(_Section):
    """A server's side of TLS (RFC 5425 for syslog)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    require_client_certificate: bool = False

    @model_validator(mode="after")
    def _client_ca_present(self) -> TlsSettings:
        if self.require_client_certificate and self.client_ca is None:
            raise ValueError("require_client_certificate needs client_ca")
        return self


class Listener(_Section):
    """One syslog socket. With `agency` and `source` set, everything that arrives on it is theirs."""

    name: Name
    kind: Literal["udp", "tcp", "tls"]
    host: str = "0.0.0.0"  # noqa: S104 - a log receiver listens to the network
    port: Port
    agency: str = ""
    source: str = ""
    tls: TlsSettings | None = None
    max_connections: int = Field(default=2048, ge=1)

    @model_validator(mode="after")
    def _whole(self) -> Listener:
        if (self.kind == "tls") != (self.tls is not None):
            raise ValueError("a listener of kind tls has a tls section, and no other has one")
        if self.source and not self.agency:
            raise ValueError("source without agency")
        return self


class IntakeSettings(_Section):
    """Receiving lines."""

    listeners: tuple[Listener, ...] = (
        Listener(name="udp", kind="udp", port=5514),
        Listener(name="tcp", kind="tcp", port=5514),
    )
    max_line_bytes: int = Field(default=65536, ge=1024, le=1 << 20)
    max_body_mb: int = Field(default=32, ge=1, le=1024, description="POST /v1/logs: the largest body, after decompression")
    batch_lines: int = Field(default=16384, ge=1)
    batch_bytes: int = Field(default=4 << 20, ge=1024)
    linger_ms: int = Field(default=50, ge=1, le=5000, description="How long a line may wait for others")
    default_timezone: Zone = Field(default="Asia/Seoul", min_length=1)
    max_clock_skew_minutes: int = Field(default=24 * 60, ge=1)

    @model_validator(mode="after")
    def _distinct_names(self) -> IntakeSettings:
        names = [listener.name for listener in self.listeners]
        if len(set(names)) != len(names):
            raise ValueError("two listeners have the same name")
        return self


class SourceSettings(_Section):
    """One log source of an agency, recognised by address range or by certificate name (subject alternative or common name)."""

    name: Name
    addresses: tuple[IPvAnyNetwork, ...] = ()
    certificates: tuple[str, ...] = ()
    timezone: Zone = ""


class Agency(_Section):
    """An agency of the city and what sends its logs."""

    id: Name
    name_ko: str
    name_en: str = ""
    sources: tuple[SourceSettings, ...] = ()


class DetectSettings(_Section):
    """Rules."""

    own_rules: bool = Field(default=True, description="Load the rules that come with the product")
    rule_folders: tuple[Path, ...] = ()
    disabled_rules: tuple[str, ...] = ()


class RespondSettings(_Section):
    """Incidents."""

    group_window_minutes: int = Field(default=60, ge=1, description="Detections this near to an open incident of the same group join it")
    evidence_per_incident: int = Field(
        default=200, ge=1, description="Raw lines copied into an incident; the rest are counted and stay in the store"
    )


class ApiSettings(_Section):
    """The REST API and the dashboard."""

    host: str = "127.0.0.1"
    port: Port = 8514
    tls: TlsSettings | None = None
    session_hours: int = Field(default=12, ge=1, le=168)
    secret_key: SecretStr | None = Field(default=None, description="Signs cookies; empty: made once and kept in the data folder")


class DemoSettings(_Section):
    """The demo feed."""

    lines_per_second: int = Field(default=50, ge=1, le=200_000)
    seed: int = 20260101


class Settings(_Section):
    """All settings of one installation."""

    data_dir: Path = Path("var")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    bus: BusSettings = BusSettings()
    store: StoreSettings = StoreSettings()
    database: DatabaseSettings = DatabaseSettings()
    intake: IntakeSettings = IntakeSettings()
    agencies: tuple[Agency, ...] = ()
    detect: DetectSettings = DetectSettings()
    respond: RespondSettings = RespondSettings()
    api: ApiSettings = ApiSettings()
    demo: DemoSettings = DemoSettings()

    @model_validator(mode="after")
    def _agencies_known(self) -> Settings:
        ids = [agency.id for agency in self.agencies]
        if len(set(ids)) != len(ids):
            raise ValueError("two agencies have the same id")
        for listener in self.intake.listeners:
            if listener.agency and listener.agency not in ids:
                raise ValueError(f"listener {listener.name!r} names the unknown agency {listener.agency!r}")
        return self

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'bongsu.db').absolute()}"


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of `file` with the environment over it. ConfigError names the first wrong key and the reason."""
    tree = _read(file) if file else {}
    for name, value in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENV_PREFIX) and name != f"{ENV_PREFIX}CONFIG":
            _put(tree, name.removeprefix(ENV_PREFIX).lower().split("__"), value)
    return validate(tree)


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
        raise ConfigError(str(file), f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(str(file), f"is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(str(file), "must hold a mapping of sections")
    return tree


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(".".join(path), "the environment sets a key inside something that is not a section")
        tree = inner
    tree[path[-1]] = yaml.safe_load(value) if value[:1] in "[{" else value
