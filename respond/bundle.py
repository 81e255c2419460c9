"""The evidence of an incident as one file that proves itself: a zip with a signed manifest, for courts, auditors and other agencies.

- `manifest.json` names every file with its SHA-256; `manifest.sig` is the centre's signature over it (`core.signing`).
- `evidence.jsonl` holds the raw lines with their place in the intake, as they were received, masked where the law asks it.
- `rules.jsonl` holds the text of each version of a rule that found something, from which its hash can be made again.
- `audit.jsonl` holds the rows of the audit trail about the incident, each with its own hash; among them who took evidence out, and when.

`verify` needs the file alone, and the public key to say whose it is.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.errors import BongsuError
from core.rule_records import RuleText, hash_of
from core.signing import Signer, Verifier
from respond import audit, trail
from respond.cases.canonical import sha256
from respond.incidents.queries import Detail, Evidence
from respond.models import Audit

KIND: Final = "evidence bundle"
FORMAT: Final = "bongsu evidence bundle 1"
_MANIFEST, _SIGNATURE = "manifest.json", "manifest.sig"
_LARGEST: Final = 1 << 30  # bytes of one file in a bundle, unpacked
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # of a zip's entries: the same content gives the same bytes
_README: Final = """이 묶음은 한 사건의 증거입니다. 서명을 확인하려면: bongsu evidence verify <파일> --key <공개키>
This file is the evidence of one incident. To verify it: bongsu evidence verify FILE --key KEY

manifest.json   every file here with its SHA-256
manifest.sig    Ed25519 signature (base64) over "bongsu evidence bundle", a zero byte and the SHA-256 of manifest.json
incident.json   what the incident is
evidence.jsonl  the raw lines, each with its place in the intake and its SHA-256
rules.jsonl     the rules that found them, as they read then
audit.jsonl     what was done with the incident, and who took this out
"""


@dataclass
class Verified:
    """What a check of a bundle found; `problems` is empty when all is whole. `signed_by` is the id of the key."""

    incident: str = ""
    made_at: str = ""
    signed_by: str = ""
    lines: int = 0
    problems: list[str] = field(default_factory=list)


def make(session: Session, detail: Detail, actor: str, signer: Signer, reason: str) -> bytes:
    """The bundle of an incident the caller may see. Taking it out is recorded in the trail, and stands in the bundle itself."""
    number = detail.incident.number
    name = f"incident/{number}"
    told = {"agency": detail.incident.agency, "lines": len(detail.evidence), "reason": reason, "key": signer.key_id}
    audit.record(session, actor, "evidence.exported", name, told)
    session.flush()
    files = {
        "README.txt": _README.encode(),
        "incident.json": _json(asdict(detail.incident)),
        "evidence.jsonl": _lines(_row(one) for one in detail.evidence),
        "rules.jsonl": _lines(_rules(session, detail.evidence)),
        "audit.jsonl": _lines(json.loads(text) for text in _trail(session, name)),
    }
    manifest = _json(
        {
            "format": FORMAT,
            "incident": number,
            "made_at": now(session).astimezone(UTC).strftime(trail.TIME),
            "made_by": actor,
            "key": signer.text,
            "files": {path: {"sha256": sha256(content), "bytes": len(content)} for path, content in files.items()},
        }
    )
    return _zipped({_MANIFEST: manifest, _SIGNATURE: signer.sign(KIND, manifest).encode(), **files})


def verify(file: IO[bytes], verifier: Verifier | None = None) -> Verified:
    """Check a bundle from wherever it comes; without `verifier` its own key is used, and whose it is remains to be asked."""
    found = Verified()
    try:
        with zipfile.ZipFile(file) as bundle:
            _check(bundle, found, verifier)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, NotImplementedError, BongsuError) as error:
        found.problems.append(f"it is no whole evidence bundle: {error}")
    return found


def _check(bundle: zipfile.ZipFile, found: Verified, verifier: Verifier | None) -> None:
    names = bundle.namelist()
    manifest = _content(bundle, _MANIFEST)
    told = json.loads(manifest)
    if told["format"] != FORMAT:
        raise ValueError(f"it is of the form {told['format']!r}")
    found.incident, found.made_at = str(told["incident"]), str(told["made_at"])
    key = verifier or Verifier.of(told["key"])
    found.signed_by = key.key_id
    if not key.verifies(KIND, manifest, _content(bundle, _SIGNATURE).decode("ascii")):
        found.problems.append(f"the manifest is not signed with the key {key.key_id}")
    if len(set(names)) != len(names) or set(names) != {_MANIFEST, _SIGNATURE, *told["files"]}:
        found.problems.append("the files are not those of the manifest")
    for path, wanted in told["files"].items():
        if path not in names:
            found.problems.append(f"{path} is missing")
        elif sha256(_content(bundle, path)) != wanted["sha256"]:
            found.problems.append(f"{path} was changed")
    if not found.problems:
        _check_content(bundle, found)


def _check_content(bundle: zipfile.ZipFile, found: Verified) -> None:
    """What the files say must agree with itself too: lines with their hashes, rules with theirs, rows of the trail with theirs."""
    rules = {row["hash"]: row for row in _rows(bundle, "rules.jsonl")}
    for row in _rows(bundle, "evidence.jsonl"):
        found.lines += 1
        if row["raw_sha256"] != sha256(row["raw"]):
            found.problems.append(f"the line of {row['detection_id']} is not that of its hash")
        if row["rule_hash"] not in rules:
            found.problems.append(f"the rule of {row['detection_id']} is not named")
    for digest, row in rules.items():
        if row["sources"] and hash_of(row["sources"]) != digest:
            found.problems.append(f"the text of the rule {row['rule_id']} is not that of its hash {digest}")
    for row in _rows(bundle, "audit.jsonl"):
        at = datetime.strptime(row["at"], trail.TIME).replace(tzinfo=UTC)
        content = (row["seq"], at, row["actor"], row["action"], row["object"], row["detail"], row["prev_hash"])
        if audit.digest(*content) != row["hash"]:
            found.problems.append(f"row {row['seq']} of the trail is not that of its hash")


def _row(kept: Evidence) -> dict[str, Any]:
    return {**asdict(kept), "raw_sha256": sha256(kept.raw)}


def _rules(session: Session, evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Each version of a rule that found something; `sources` is empty for one that ran before texts were kept."""
    wanted = sorted({(one.rule_id, one.rule_hash, one.rule_title, one.rule_level) for one in evidence})
    hashes = {digest for _, digest, _, _ in wanted}
    kept = {(row.rule_id, row.hash): row.sources for row in session.scalars(sa.select(RuleText).where(RuleText.hash.in_(hashes)))}
    return [
        {"rule_id": rule, "hash": digest, "title": title, "level": level, "sources": kept.get((rule, digest), [])}
        for rule, digest, title, level in wanted
    ]


def _trail(session: Session, name: str) -> Iterable[str]:
    rows = session.scalars(sa.select(Audit).where(Audit.object == name).order_by(Audit.seq))
    return [
        trail.line(audit.Entry(row.seq, row.at, row.actor, row.action, row.object, row.detail, row.prev_hash, row.hash)) for row in rows
    ]


def _zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(entry, content)
    return out.getvalue()


def _content(bundle: zipfile.ZipFile, path: str) -> bytes:
    if bundle.getinfo(path).file_size > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST >> 20} MiB")
    return bundle.read(path)


def _rows(bundle: zipfile.ZipFile, path: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in _content(bundle, path).splitlines()]


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, default=_plain).encode("ascii")


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, sort_keys=True, default=_plain) + "\n" for row in rows).encode("ascii")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(trail.TIME)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no value of a bundle")
