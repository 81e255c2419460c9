"""What only `bongsu up --demo` does: demo settings, demo accounts, and what the newcomer reads on the terminal."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from api.auth.users import ensure_user
from core.database import Database

SETTINGS = Path(__file__).with_name("demo.yaml")
_ACCOUNTS = (
    ("lead", "soc_lead", ""),
    ("analyst", "analyst", ""),
    ("mayor", "mayors_office", ""),
    ("officer", "agency_officer", "jongno-gu"),
    ("admin", "admin", ""),
)


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """A demo account; its password was made on this machine at the first start."""

    name: str
    password: str
    role: str
    agency: str


def ensure_accounts(database: Database, data_dir: Path) -> list[DemoAccount]:
    """The demo accounts, made at the first call; later calls find the same passwords in the data folder (mode 0600)."""
    file = data_dir / "demo-accounts.json"
    passwords: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    accounts = [DemoAccount(name, passwords.setdefault(name, secrets.token_urlsafe(12)), role, agency) for name, role, agency in _ACCOUNTS]
    file.touch(mode=0o600, exist_ok=True)
    file.write_text(json.dumps(passwords, indent=1), encoding="utf-8")
    with database.session() as session:
        for account in accounts:
            ensure_user(session, account.name, account.password, roles=[account.role], agency=account.agency)
    return accounts
