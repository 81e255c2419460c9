"""The columns of events in the groups people look for them in. Every column that can be shown stands in exactly one."""

from __future__ import annotations

from typing import Final

from api.dashboard.hunt.asked import SHOWABLE

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "when": ("event_time", "received_at", "agency", "log_class", "severity", "severity_id"),
    "source": tuple(name for name in SHOWABLE if name.startswith("src_")),
    "target": tuple(name for name in SHOWABLE if name.startswith("dst_")),
    "network": ("direction", "proto", "app_proto", "app", "action", "disposition", "rule", "rule_id", "in_if", "out_if"),
    "request": (
        *("url", "domain", "domain_threat", "http_method", "http_status", "user_agent", "referrer"),
        *("dns_query", "dns_type", "dns_answer", "dns_rcode", "file_name", "file_hash"),
    ),
    "finding": ("sig_id", "sig_name", "category", "user", "object", "event_code"),
    "volume": ("bytes", "bytes_src", "bytes_dst", "packets_src", "packets_dst"),
    "intake": (
        *("source", "device", "vendor", "product", "parser", "parser_version"),
        *("transport", "peer_ip", "intake_flags", "exercise", "raw"),
    ),
}
UNCOUNTED: Final = ("event_time", "received_at", "raw")
"""Columns of which no two events have the same value."""
