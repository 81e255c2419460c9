"""What tests of drills share: a small scenario, a key pair, tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.clock import millis
from core.exercise import Ticket, issue
from core.signing import Signer
from respond.drills.scenario import Scenario

SIGNER = Signer(Ed25519PrivateKey.generate())


def ticket(at: datetime, *, drill: str = "DRL-2026-000001", agency: str = "gu", signer: Signer = SIGNER, seconds: int = 3600) -> str:
    """The text of a ticket for the source `fw`, issued `at`."""
    return issue(signer, Ticket(drill, agency, "fw", "Asia/Seoul", millis(at), millis(at) + seconds * 1000))


def small_scenario(roles: int = 1, **expectation: Any) -> Scenario:
    """A scenario of `roles` parts; each sends three lines of one source, a tenth of a second apart, and expects one find."""
    expected = {"name": "scan", "ko": "스캔", "en": "scan", "rules": ["rule-scan"], "within": 60, **expectation}
    lines = [{"source": "fw", "at": 0, "repeat": 3, "every": 0.1, "line": "{date} {time} line {n}"}]
    return Scenario.model_validate(
        {
            **{"id": "small", "version": "1", "title_ko": "작은 훈련", "title_en": "A small drill", "about_ko": "a", "about_en": "a"},
            "roles": [
                {
                    **{"name": f"role{n}", "ko": "역할", "en": "role"},
                    "sources": [{"name": "fw", "product": "p"}],
                    "lines": lines,
                    "expect": [expected],
                }
                for n in range(roles)
            ],
        }
    )
