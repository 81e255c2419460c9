"""The evidence a controller needs, and no more: some columns of an incident's kept lines within a time, names masked, with a manifest.

- Whoever makes it chooses the columns from OFFERED; raw lines are never given, only their SHA-256 (they can be asked for by it).
- User names become their first letter and a number that is the same for the same name within the package; of a URL the path alone is
  given; `src_net` is the source's network (/24, /48), the whole address only as `src_ip`.
- The zip is the same, byte for byte, for the same rows and manifest; each file's SHA-256 stands in `manifest.json`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid
from respond.models import Incident, IncidentEvidence

ROWS: Final = 10_000
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be given of the incident `about`: `since` <= event time < `until`, columns of OFFERED, and what for."""

    case: str
    about: str
    since: datetime
    until: datetime
    columns: tuple[str, ...]
    purpose: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Package:
    """A package as given: the zip, its SHA-256 and how many rows it holds."""

    content: bytes
    sha256: str
    rows: int


class _Masks:
    """The numbers of masked names, in order of appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def name(self, value: str) -> str:
        if not value:
            return ""
        number = self._numbers.setdefault(value, len(self._numbers) + 1)
        return f"{value[0]}***#{number}"


Cell = Callable[[IncidentEvidence, _Masks], str]


def _plain(column: str) -> Cell:
    return lambda row, _: str(row.fields.get(column, ""))


def _src_net(row: IncidentEvidence, _masks: _Masks) -> str:
    try:
        address = ip_address(str(row.fields.get("src_ip", "")))
    except ValueError:
        return ""
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


def _path(row: IncidentEvidence, _masks: _Masks) -> str:
    try:
        return urlsplit(str(row.fields.get("url", ""))).path
    except ValueError:
        return ""


OFFERED: Final[Mapping[str, Cell]] = {
    "event_time": lambda row, _: row.event_time.isoformat(),
    "rule_title": lambda row, _: row.rule_title,
    "device": _plain("device"),
    "src_net": _src_net,
    "src_ip": _plain("src_ip"),
    "dst_ip": _plain("dst_ip"),
    "dst_port": _plain("dst_port"),
    "dst_system": _plain("dst_system"),
    "action": _plain("action"),
    "bytes": _plain("bytes"),
    "user": lambda row, masks: masks.name(str(row.fields.get("user", ""))),
    "url_path": _path,
    "raw_sha256": lambda row, _: hashlib.sha256(row.raw.encode("utf-8", "surrogatepass")).hexdigest(),
}
"""What can be given, by column of `rows.csv`."""


def build(session: Session, asked: Asked) -> Package:
    """The package. Invalid when nothing of the incident lies in the time, too much does, or a column is not offered."""
    if wrong := [name for name in asked.columns if name not in OFFERED]:
        raise Invalid(f"not offered: {', '.join(wrong)}; there are {', '.join(OFFERED)}")
    rows = _rows(session, asked)
    masks = _Masks()
    table = [[_harmless(OFFERED[name](row, masks)) for name in asked.columns] for row in rows]
    files = {"rows.csv": _csv([list(asked.columns), *table]), "summary.json": _json(_summary(rows))}
    files["manifest.json"] = _json(_manifest(asked, files, len(rows)))
    content = _zip(files)
    return Package(content, hashlib.sha256(content).hexdigest(), len(rows))


def _rows(session: Session, asked: Asked) -> Sequence[IncidentEvidence]:
    if not asked.about:
        raise Invalid(f"{asked.case} is about no incident: there is no evidence to give")
    if asked.since >= asked.until:
        raise Invalid("since is not before until")
    found = session.scalars(
        sa.select(IncidentEvidence)
        .join(Incident, Incident.id == IncidentEvidence.incident_id)
        .where(Incident.number == asked.about, IncidentEvidence.event_time >= asked.since, IncidentEvidence.event_time < asked.until)
        .order_by(IncidentEvidence.event_time, IncidentEvidence.id)
        .limit(ROWS + 1)
    ).all()
    if not found:
        raise Invalid(f"{asked.about} has no evidence from {asked.since.isoformat()} to {asked.until.isoformat()}")
    if len(found) > ROWS:
        raise Invalid(f"more than {ROWS:,} lines: ask for a shorter time")
    return found


def _summary(rows: Sequence[IncidentEvidence]) -> dict[str, Any]:
    systems = Counter(str(row.fields.get("dst_ip", "")) for row in rows)
    return {
        "rows": len(rows),
        "first_event": rows[0].event_time.isoformat(),
        "last_event": rows[-1].event_time.isoformat(),
        "by_system": dict(sorted(systems.items())),
        "by_rule": dict(sorted(Counter(row.rule_title for row in rows).items())),
        "distinct_users": len({row.fields["user"] for row in rows if row.fields.get("user")}),
    }


def _manifest(asked: Asked, files: Mapping[str, bytes], rows: int) -> dict[str, Any]:
    return {
        "case": asked.case,
        "incident": asked.about,
        "basis": "Ordinance No. 9889, article 19(4)",
        "purpose": asked.purpose,
        "made_by": asked.actor,
        "made_at": asked.at.astimezone(UTC).isoformat(),
        "since": asked.since.astimezone(UTC).isoformat(),
        "until": asked.until.astimezone(UTC).isoformat(),
        "columns": list(asked.columns),
        "rows": rows,
        "minimised": "names masked, paths without queries, no raw lines",
        "files": {name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in files.items()},
    }


def _harmless(text: str) -> str:
    """Text a spreadsheet does not take for a formula: attackers choose some of it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode("utf-8", "replace")


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
