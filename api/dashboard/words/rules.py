"""Rules, their drafts, and what ATT&CK calls the aims of attackers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "rule_state": {
        "in_force": "In force",
        "set_aside": "Set aside",
        "tuned": "Tuned",
        "silenced": "Silenced",
        "quiet": "Not fired in 30 days",
    },
    "rule_kind": {
        "rule": "One event",
        "correlation": "Correlation",
    },
    "rule_class": {
        "firewall": "Firewall",
        "ips": "IPS",
        "waf": "WAF",
        "proxy": "Proxy",
        "dns": "DNS",
        "vpn": "VPN",
        "auth": "Log-ins",
        "config": "Configuration",
        "nac": "NAC",
        "web": "Web server",
        "video": "Video systems",
        "system": "System",
    },
    "draft": {
        "draft": "Being written",
        "submitted": "Awaiting approval",
        "declined": "Declined",
        "in_force": "In force",
        "discarded": "Discarded",
        "retired": "Retired",
    },
    "draft_step": {
        "open": "Begun",
        "edit": "Changed",
        "submit": "Submitted",
        "take_back": "Taken back",
        "approve": "Approved",
        "decline": "Declined",
        "discard": "Discarded",
        "retire": "Retired",
    },
    "rule_change": {
        "version": "New version",
        "rule.tuned": "Tuned",
        "rule.tuning_dropped": "Tuning undone",
    },
    "condition_part": {
        "all of": "all of",
        "any of": "any of",
        "not": "not",
    },
    "condition_name": {
        "filter": "filter",
        "log source": "log source",
    },
    "time_part": {
        "minute": "minute",
        "hour": "hour",
        "day": "day",
        "week": "week",
        "month": "month",
        "year": "year",
    },
    "tactic": {
        "": "Without a tactic",
        "reconnaissance": "Reconnaissance",
        "resource-development": "Resource development",
        "initial-access": "Initial access",
        "execution": "Execution",
        "persistence": "Persistence",
        "privilege-escalation": "Privilege escalation",
        "defense-evasion": "Defense evasion",
        "credential-access": "Credential access",
        "discovery": "Discovery",
        "lateral-movement": "Lateral movement",
        "collection": "Collection",
        "command-and-control": "Command and control",
        "exfiltration": "Exfiltration",
        "impact": "Impact",
    },
}
