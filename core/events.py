"""The one table of columns. DDL, Arrow schemas, Sigma field mapping, OCSF export and the docs table are made from it.

Invariants:
- A text column is never NULL: '' means not set. A number, address or time may be NULL where `nullable`; 0 and '::' are values.
- Addresses are 16 bytes, IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), so one type serves both.
- Times are UTC with milliseconds.
- `(raw_epoch, raw_partition, raw_offset, raw_line)` names a line for ever: the position of its message on `logs.raw` and its
  place in the message. `event_id` is these four, joined by `-`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntFlag, StrEnum
from typing import Final

import pyarrow as pa


class Kind(Enum):
    """What a column holds: decides its ClickHouse and Arrow types and how Sigma compares it."""

    TEXT = "text"
    WORD = "word"  # text of few distinct values
    IP = "ip"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    FLOAT = "float"
    TIME = "time"

    @property
    def is_text(self) -> bool:
        return self in (Kind.TEXT, Kind.WORD)

    @property
    def is_number(self) -> bool:
        return self in HIGHEST


HIGHEST: Final = {Kind.UINT8: 2**8 - 1, Kind.UINT16: 2**16 - 1, Kind.UINT32: 2**32 - 1, Kind.UINT64: 2**64 - 1}
"""The highest number of each kind of number; the lowest is 0."""
_CLICKHOUSE: Final = {
    Kind.TEXT: "String",
    Kind.WORD: "LowCardinality(String)",
    Kind.IP: "IPv6",
    Kind.UINT8: "UInt8",
    Kind.UINT16: "UInt16",
    Kind.UINT32: "UInt32",
    Kind.UINT64: "UInt64",
    Kind.FLOAT: "Float64",
    Kind.TIME: "DateTime64(3, 'UTC')",
}
_ARROW: Final = {
    Kind.TEXT: pa.string(),
    Kind.WORD: pa.string(),
    Kind.IP: pa.binary(16),
    Kind.UINT8: pa.uint8(),
    Kind.UINT16: pa.uint16(),
    Kind.UINT32: pa.uint32(),
    Kind.UINT64: pa.uint64(),
    Kind.FLOAT: pa.float64(),
    Kind.TIME: pa.timestamp("ms", "UTC"),
}


class IntakeFlag(IntFlag):
    """What intake had to do to a line; the bits of the column `intake_flags`."""

    NONE = 0
    UNKNOWN_SOURCE = 1  # no listener, certificate, address range or key named its agency
    TRUNCATED = 2  # longer than the longest kept line; the rest was cut
    NUL_REMOVED = 4  # NUL bytes were taken out
    CP949 = 8  # was not UTF-8; read as CP949
    UNDECODABLE = 16  # neither; bytes that are not text are written \\xNN
    CLOCK_SKEW = 32  # the device's clock is off by more than the limit
    MASKED = 64  # personal numbers or secrets were masked before anything was kept
    REPLAY = 128  # not of now: an old log, or an exercise. Its time is not held against its clock, and nothing is learned from it


class LogClass(StrEnum):
    """What an event tells of; decides which rules run. The words of the column `log_class`."""

    FIREWALL = "firewall"
    IPS = "ips"
    WAF = "waf"
    PROXY = "proxy"
    DNS = "dns"
    VPN = "vpn"
    AUTH = "auth"
    CONFIG = "config"
    NAC = "nac"
    WEB = "web"
    VIDEO = "video"
    SYSTEM = "system"


DISPOSITIONS: Final = ("allow", "deny", "alert")
DIRECTIONS: Final = ("inbound", "outbound", "internal")
SEVERITIES: Final = {1: "informational", 2: "low", 3: "medium", 4: "high", 5: "critical", 6: "fatal"}
"""The one scale of severity, `severity_id` of OCSF 1.x."""
UNKNOWN_AGENCY: Final = "_unknown"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, what it holds, and what other vocabularies call it.

    `ocsf` is a path of OCSF 1.x; `sigma` are the field names public Sigma rules use for it beside `name` itself.
    """

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False
    codec: str = ""
    ocsf: str = ""
    sigma: tuple[str, ...] = ()
    set_by: str = "parser"

    @property
    def clickhouse(self) -> str:
        """The ClickHouse type, without codec."""
        base = _CLICKHOUSE[self.kind]
        return f"Nullable({base})" if self.nullable else base

    @property
    def parameter(self) -> str:
        """The ClickHouse type of one value of it that goes beside a statement."""
        return "String" if self.kind.is_text else _CLICKHOUSE[self.kind]

    @property
    def arrow(self) -> pa.Field:
        return pa.field(self.name, _ARROW[self.kind], nullable=self.nullable)

    @property
    def ddl(self) -> str:
        """The column's line in CREATE TABLE."""
        codec = f" CODEC({self.codec})" if self.codec else ""
        return f"`{self.name}` {self.clickhouse}{codec}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the columnar store, and the shape of the Arrow batches that fill it.

    `place` are the columns within whose values raw offsets never go back (`core.topics`). `ttl`: when the store forgets a row; '' never.
    `settings` are the engine's for this table alone.
    """

    name: str
    columns: tuple[Column, ...]
    order_by: str
    partition_by: str
    place: tuple[str, ...] = ("raw_epoch", "raw_partition")
    ttl: str = ""
    settings: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([c.arrow for c in self.columns])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _intake(name: str, kind: Kind, meaning: str, codec: str = "", ocsf: str = "", nullable: bool = False) -> Column:
    return Column(name, kind, meaning, nullable=nullable, codec=codec, ocsf=ocsf, set_by="intake")


POSITION: Final = (
    _intake("raw_epoch", Kind.WORD, "Which life of the topic `logs.raw` the position belongs to"),
    _intake("raw_partition", Kind.UINT16, "Partition of `logs.raw`", "Delta, ZSTD(1)"),
    _intake("raw_offset", Kind.UINT64, "Offset of the message on `logs.raw`", "Delta, ZSTD(1)"),
    _intake("raw_line", Kind.UINT32, "Place of the line in its message, from 0", "Delta, ZSTD(1)"),
)

INTAKE: Final = (
    *POSITION,
    _intake("received_at", Kind.TIME, "When the line reached us", "Delta, ZSTD(1)", "metadata.logged_time"),
    _intake("agency", Kind.WORD, "Agency the authenticated source belongs to; `_unknown` when none", ocsf="metadata.tenant_uid"),
    _intake("source", Kind.WORD, "The source's name within its agency", ocsf="metadata.log_provider"),
    _intake("transport", Kind.WORD, "How it came: udp, tcp, tls, http, file, kafka, demo"),
    _intake("peer_ip", Kind.IP, "Address that sent the line to us", nullable=True),
    _intake("intake_flags", Kind.UINT32, "What intake had to do to the line; bits of IntakeFlag"),
    _intake("exercise", Kind.WORD, "Number of the drill the line belongs to, proven by a ticket (docs/drills.md); empty: it is real"),
    _intake("raw", Kind.TEXT, "The whole line as received", "ZSTD(1)", "raw_data"),
)

PARSED: Final = (
    Column("parser", Kind.WORD, "Parser that read the line", ocsf="metadata.log_name"),
    Column("parser_version", Kind.UINT16, "Version of that parser"),
    Column("log_class", Kind.WORD, "What the event tells of: firewall, ips, waf, ...", ocsf="class_name"),
    Column(
        "event_time",
        Kind.TIME,
        "When it happened, by the device's clock",
        codec="Delta, ZSTD(1)",
        ocsf="time",
        sigma=("timestamp", "@timestamp"),
    ),
    Column("vendor", Kind.WORD, "Maker of the device", ocsf="metadata.product.vendor_name"),
    Column("product", Kind.WORD, "Product of the device", ocsf="metadata.product.name"),
    Column(
        "device",
        Kind.WORD,
        "Name of the device that wrote the line",
        ocsf="device.hostname",
        sigma=("host", "hostname", "devname", "dvc", "computer_name"),
    ),
    Column(
        "event_code",
        Kind.WORD,
        "The device's own number or name of the message",
        ocsf="metadata.event_code",
        sigma=("eventid", "logid", "message_number"),
    ),
    Column("severity", Kind.WORD, "The device's own word or number of severity", ocsf="severity", sigma=("level",)),
    Column("severity_id", Kind.UINT8, "Severity on one scale, from 1 informational to 6 fatal", True, ocsf="severity_id"),
    Column(
        "src_ip",
        Kind.IP,
        "Source address",
        True,
        ocsf="src_endpoint.ip",
        sigma=("c-ip", "SourceIp", "src", "source.ip", "srcip", "id.orig_h", "ClientIP", "source_ip"),
    ),
    Column(
        "src_port",
        Kind.UINT16,
        "Source port",
        True,
        ocsf="src_endpoint.port",
        sigma=("SourcePort", "srcport", "source.port", "id.orig_p", "c-port"),
    ),
    Column(
        "dst_ip",
        Kind.IP,
        "Destination address",
        True,
        ocsf="dst_endpoint.ip",
        sigma=("s-ip", "DestinationIp", "dst", "destination.ip", "dstip", "id.resp_h", "dest_ip", "r-ip", "cs-ip"),
    ),
    Column(
        "dst_port",
        Kind.UINT16,
        "Destination port",
        True,
        ocsf="dst_endpoint.port",
        sigma=("DestinationPort", "dstport", "destination.port", "id.resp_p", "dest_port", "s-port", "r-port"),
    ),
    Column("src_nat_ip", Kind.IP, "Source address after translation", True, ocsf="src_endpoint.intermediate_ips"),
    Column("src_nat_port", Kind.UINT16, "Source port after translation", True),
    Column("dst_nat_ip", Kind.IP, "Destination address after translation", True, ocsf="dst_endpoint.intermediate_ips"),
    Column("dst_nat_port", Kind.UINT16, "Destination port after translation", True),
    Column("src_mac", Kind.WORD, "Hardware address of the source", ocsf="src_endpoint.mac", sigma=("mac", "source.mac", "srcmac")),
    Column("direction", Kind.WORD, "Seen from the agency: inbound, outbound, internal", ocsf="connection_info.direction"),
    Column(
        "proto",
        Kind.WORD,
        "Transport protocol by its IANA keyword, lower case",
        ocsf="connection_info.protocol_name",
        sigma=("Protocol", "protocol", "network.transport", "transport"),
    ),
    Column(
        "app_proto",
        Kind.WORD,
        "Application protocol or service, lower case",
        ocsf="dst_endpoint.svc_name",
        sigma=("service", "network.protocol"),
    ),
    Column("app", Kind.WORD, "Application the device recognised", ocsf="app_name", sigma=("application",)),
    Column("action", Kind.WORD, "What the device did, in its own word", ocsf="action", sigma=("event.action", "act")),
    Column("disposition", Kind.WORD, "What it comes to: allow, deny, alert", ocsf="disposition"),
    Column("rule", Kind.WORD, "Policy that decided, by name or number", ocsf="firewall_rule.name", sigma=("policyname", "rule_name")),
    Column("rule_id", Kind.WORD, "Policy's identifier where it has a name too", ocsf="firewall_rule.uid", sigma=("policyid",)),
    Column(
        "user",
        Kind.TEXT,
        "User the device names",
        ocsf="actor.user.name",
        sigma=("username", "cs-username", "User", "TargetUserName", "user.name", "usrName"),
    ),
    Column(
        "url",
        Kind.TEXT,
        "URL or path that was asked for",
        ocsf="http_request.url.url_string",
        sigma=("c-uri", "cs-uri", "cs-uri-query", "cs-uri-stem", "c-uri-query", "c-uri-stem", "request_url", "http.url", "request"),
    ),
    Column(
        "domain",
        Kind.TEXT,
        "Host name that was asked for",
        ocsf="http_request.url.hostname",
        sigma=("cs-host", "r-dns", "c-uri-host", "host_header", "destination.domain", "DestinationHostname"),
    ),
    Column(
        "dns_query",
        Kind.TEXT,
        "Name a DNS question asks for",
        ocsf="query.hostname",
        sigma=("query", "QueryName", "dns.question.name", "question"),
    ),
    Column(
        "dns_type", Kind.WORD, "Record type a DNS question asks for", ocsf="query.type", sigma=("record_type", "QueryType", "qtype_name")
    ),
    Column(
        "dns_answer", Kind.TEXT, "What a DNS answer says, joined by commas", ocsf="answers", sigma=("answer", "answers", "QueryResults")
    ),
    Column("dns_rcode", Kind.WORD, "Response code of a DNS answer", ocsf="rcode", sigma=("rcode", "rcode_name", "QueryStatus")),
    Column("http_method", Kind.WORD, "HTTP method", ocsf="http_request.http_method", sigma=("cs-method", "method", "http.method")),
    Column("http_status", Kind.UINT16, "HTTP status", True, ocsf="http_response.code", sigma=("sc-status", "status", "http.status_code")),
    Column(
        "user_agent",
        Kind.TEXT,
        "User-Agent header",
        ocsf="http_request.user_agent",
        sigma=("c-useragent", "cs-user-agent", "useragent", "cs(User-Agent)"),
    ),
    Column(
        "referrer",
        Kind.TEXT,
        "Referer header",
        ocsf="http_request.referrer",
        sigma=("cs-referer", "cs-referrer", "c-referer", "referer", "http.referrer"),
    ),
    Column("sig_id", Kind.WORD, "Signature's number", ocsf="finding_info.uid", sigma=("signature_id", "alert.signature_id")),
    Column("sig_name", Kind.TEXT, "Signature's name", ocsf="finding_info.title", sigma=("signature", "attack", "alert.signature", "msg")),
    Column("category", Kind.WORD, "Category of the URL, threat or application, in the device's word", sigma=("cat", "alert.category")),
    Column("file_name", Kind.TEXT, "Name or path of a file", ocsf="file.name", sigma=("filename", "file.name", "fname")),
    Column("file_hash", Kind.TEXT, "Hash of a file, hexadecimal", ocsf="file.hashes", sigma=("hash", "md5", "sha1", "sha256")),
    Column(
        "object",
        Kind.TEXT,
        "What was acted on: a configuration path, camera, recording, account",
        ocsf="resources.name",
        sigma=("cfgpath", "cfgobj", "object_name"),
    ),
    Column("bytes", Kind.UINT64, "Bytes in all", True, ocsf="traffic.bytes"),
    Column("bytes_src", Kind.UINT64, "Bytes the source sent", True, ocsf="traffic.bytes_out", sigma=("cs-bytes", "sentbyte", "orig_bytes")),
    Column(
        "bytes_dst", Kind.UINT64, "Bytes the destination sent", True, ocsf="traffic.bytes_in", sigma=("sc-bytes", "rcvdbyte", "resp_bytes")
    ),
    Column("packets_src", Kind.UINT64, "Packets the source sent", True, ocsf="traffic.packets_out"),
    Column("packets_dst", Kind.UINT64, "Packets the destination sent", True, ocsf="traffic.packets_in"),
    Column("src_zone", Kind.WORD, "Zone the traffic came from", ocsf="src_endpoint.zone"),
    Column("dst_zone", Kind.WORD, "Zone the traffic went to", ocsf="dst_endpoint.zone"),
    Column("in_if", Kind.WORD, "Interface the traffic came in by", ocsf="src_endpoint.interface_name"),
    Column("out_if", Kind.WORD, "Interface the traffic left by", ocsf="dst_endpoint.interface_name"),
)


def _looked_up(name: str, kind: Kind, meaning: str, ocsf: str = "", nullable: bool = False) -> Column:
    return Column(name, kind, meaning, nullable, ocsf=ocsf, set_by="enrichment")


ENRICHED: Final = (
    _looked_up("src_system", Kind.WORD, "System the source address belongs to, by the asset inventory", "src_endpoint.name"),
    _looked_up("src_owner", Kind.WORD, "Who answers for the source system", "src_endpoint.owner.name"),
    _looked_up("src_importance", Kind.WORD, "Importance of the source system: critical, high, medium, low"),
    _looked_up("src_country", Kind.WORD, "Country of the source address, ISO 3166-1 alpha-2", "src_endpoint.location.country"),
    _looked_up("src_asn", Kind.UINT32, "Autonomous system of the source address", "src_endpoint.autonomous_system.number", True),
    _looked_up("src_as_org", Kind.WORD, "Holder of that autonomous system", "src_endpoint.autonomous_system.name"),
    _looked_up("src_threat", Kind.WORD, "Known-bad lists that hold the source address, joined by commas"),
    _looked_up("dst_system", Kind.WORD, "System the destination address belongs to, by the asset inventory", "dst_endpoint.name"),
    _looked_up("dst_owner", Kind.WORD, "Who answers for the destination system", "dst_endpoint.owner.name"),
    _looked_up("dst_importance", Kind.WORD, "Importance of the destination system: critical, high, medium, low"),
    _looked_up("dst_country", Kind.WORD, "Country of the destination address, ISO 3166-1 alpha-2", "dst_endpoint.location.country"),
    _looked_up("dst_asn", Kind.UINT32, "Autonomous system of the destination address", "dst_endpoint.autonomous_system.number", True),
    _looked_up("dst_as_org", Kind.WORD, "Holder of that autonomous system", "dst_endpoint.autonomous_system.name"),
    _looked_up("dst_threat", Kind.WORD, "Known-bad lists that hold the destination address, joined by commas"),
    _looked_up("domain_threat", Kind.WORD, "Known-bad lists that hold the domain, the URL's host or the DNS name, joined by commas"),
)

EVENTS: Final = Table("events", (*INTAKE, *PARSED, *ENRICHED), order_by="(agency, event_time)", partition_by="toYYYYMMDD(received_at)")

QUARANTINE: Final = Table(
    "quarantine",
    (
        *INTAKE,
        Column("reason", Kind.WORD, "Why the line is here, a stable word", set_by="normalise"),
        Column("detail", Kind.TEXT, "What exactly was wrong", set_by="normalise"),
        Column("lines", Kind.UINT32, "How many lines the row stands for; not set: one", nullable=True, set_by="normalise"),
    ),
    order_by="(agency, received_at)",
    partition_by="toYYYYMMDD(received_at)",
)

DETECTIONS: Final = Table(
    "detections",
    (
        Column("detection_id", Kind.TEXT, "`rule_id:event_id`, so the same finding is the same detection for ever", set_by="detect"),
        Column("rule_id", Kind.WORD, "The rule's id", ocsf="finding_info.analytic.uid", set_by="detect"),
        Column("rule_title", Kind.WORD, "The rule's title", ocsf="finding_info.title", set_by="detect"),
        Column("rule_level", Kind.WORD, "informational, low, medium, high, critical", ocsf="severity", set_by="detect"),
        Column("rule_hash", Kind.WORD, "SHA-256 of the rule's text, first 16 hex digits", set_by="detect"),
        Column("rule_tags", Kind.WORD, "The rule's tags, joined by a comma", set_by="detect"),
        Column("kind", Kind.WORD, "What found it: rule, correlation, indicator, baseline, centre", set_by="detect"),
        Column(
            "origin",
            Kind.WORD,
            "When it was found: stream (as it came), backfill (what the stream missed), hunt (asked of history)",
            set_by="detect",
        ),
        Column(
            "details", Kind.TEXT, "What the rule's kind has to say more, a JSON object; empty for a rule on the stream", set_by="detect"
        ),
        Column("detected_at", Kind.TIME, "When the rule fired", ocsf="finding_info.created_time", set_by="detect"),
        *(c for c in EVENTS.columns if c.name not in ("intake_flags", "rule_id")),  # here `rule_id` is the detection rule's
    ),
    order_by="(agency, event_time)",
    partition_by="toYYYYMMDD(received_at)",
)

# A window of a month, and the longest time that a late event may take to be joined (`detect.correlation.resolve`, `detect.lateness_hours`).
_CORRELATED: Final = "62 DAY"
_OF_KEYS: Final = ("index_granularity = 1024",)  # few rows of many keys are read: a quarter of the CPU time of the usual 8192
_GROUP_KEY: Final = Column(
    "group_key",
    Kind.TEXT,
    "JSON list of texts: the agency, unless it is across agencies, and the values of group-by; of an exercise its number stands behind it",
    set_by="detect",
)

MATCHES: Final = Table(
    "matches",
    (
        Column("shard_epoch", Kind.WORD, "Which life of the topic `matches` it came on", set_by="correlate"),
        Column("shard", Kind.UINT16, "Partition of `matches` it came on", set_by="correlate"),
        Column("shard_offset", Kind.UINT64, "Offset of its message there", codec="Delta, ZSTD(1)", set_by="correlate"),
        *POSITION,
        *(c for c in EVENTS.columns if c.name in ("received_at", "agency", "event_time")),
        Column("correlation", Kind.WORD, "Hash of the correlation it counts for", set_by="detect"),
        Column("member", Kind.UINT8, "Place of what matched among the rules of the correlation", set_by="detect"),
        _GROUP_KEY,
        Column("text", Kind.TEXT, "JSON list of the values that the condition of a value_count counts", set_by="detect"),
        Column("number", Kind.FLOAT, "The number that the condition is about", nullable=True, set_by="detect"),
        Column("stands_for", Kind.UINT32, "How many matches of its second it stands for, itself among them", set_by="detect"),
        Column("event", Kind.TEXT, "`event_id` that completed a correlation, where that is the match", set_by="correlate"),
    ),
    order_by="(correlation, group_key, event_time)",
    partition_by="toYYYYMMDD(received_at)",
    place=("shard", "raw_epoch", "raw_partition"),
    ttl=f"toDateTime(received_at) + INTERVAL {_CORRELATED}",
    settings=_OF_KEYS,
)

FIRINGS: Final = Table(
    "firings",
    (
        *POSITION,
        *(c for c in EVENTS.columns if c.name in ("received_at", "agency", "event_time")),
        Column("event", Kind.TEXT, "`event_id` of the event that completed it", set_by="correlate"),
        *(c for c in DETECTIONS.columns if c.name in ("rule_id", "rule_title", "rule_level", "rule_hash", "rule_tags")),
        _GROUP_KEY,
        Column("bucket", Kind.TIME, "Begin of the span of time in which it fires once", set_by="correlate"),
        Column("number", Kind.FLOAT, "The number its condition is about", nullable=True, set_by="correlate"),
        Column("details", Kind.TEXT, "The `details` of its detection", set_by="correlate"),
        Column("fired_at", Kind.TIME, "When it was found", set_by="correlate"),
    ),
    order_by="(rule_hash, group_key, bucket)",
    partition_by="toYYYYMMDD(fired_at)",
    ttl=f"toDateTime(fired_at) + INTERVAL {_CORRELATED}",
    settings=_OF_KEYS,
)

TABLES: Final = (EVENTS, QUARANTINE, DETECTIONS, MATCHES, FIRINGS)


def event_id(epoch: str, partition: int, offset: int, line: int) -> str:
    """The name of a line for ever; `parse_event_id` is its inverse."""
    return f"{epoch}-{partition}-{offset}-{line}"


def parse_event_id(text: str) -> tuple[str, int, int, int]:
    """Epoch, partition, offset and line of an event id; ValueError when it is not one."""
    epoch, partition, offset, line = text.rsplit("-", 3)
    return epoch, int(partition), int(offset), int(line)
