"""Accounts of people, what is proposed for them, and settings: what they mean and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.settings_values import meanings

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "account_change": {
        "create": "New account",
        "change": "Other roles",
        "enable": "Enable again",
        "proposed": "Waits for approval",
        "approved": "Approved",
        "rejected": "Rejected",
        "withdrawn": "Withdrawn",
    },
    "comes_by": {
        "password": "Password",
        "oidc": "City log-in",
        "": "No password yet",
    },
    "setting": dict(meanings()),
    "setting_source": {
        "default": "Default",
        "file": "Settings file",
        "environment": "Environment",
    },
}
