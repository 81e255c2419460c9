"""Objects an agency sends by TAXII become one proposed share of that agency, for the SOC lead to release (CO 22(1): "may share").

Only what a share can hold is taken: indicators, malware, vulnerabilities, attack patterns, courses of action, and a report's title and
summary. Identities and markings are read for what they say; everything else is refused by name in the status. Nothing sent is handed on
as it came: it is written anew as a share, with the same refusals and the same redaction.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from core.database import now
from core.errors import DomainError, Invalid
from respond.sharing import service, taxii
from respond.sharing.content import Content, Indicator, Malware, Measure, Technique, Vulnerability
from respond.sharing.models import Submission
from respond.sharing.policy import SharingPolicy, strictest
from respond.sharing.service import Draft, Terms
from respond.sharing.tlp import level_of

MOST: Final = 1000
Object = Mapping[str, Any]
Patterns = Callable[[str], Sequence[tuple[str, str]]]
"""The (type, value) pairs of which any one fulfils a STIX pattern; ValueError when that cannot be said of it."""
_ID: Final = re.compile(r"[a-z][a-z0-9-]{2,60}--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_READ_ONLY: Final = frozenset({"identity", "marking-definition", "extension-definition"})
_UNMARKED: Final = "amber"


class _Gathered:
    def __init__(self) -> None:
        self.parts: dict[str, list[Any]] = {name: [] for name in ("indicators", "malware", "vulnerabilities", "techniques", "measures")}
        self.title = self.summary = ""
        self.levels: list[str] = []


def take_in(session: Session, agency: str, actor: str, objects: Sequence[Any], patterns: Patterns, terms: Terms) -> Submission:
    """Keep what can be kept of `objects` as a proposed share, and write down what became of each."""
    gathered, successes, failures = _Gathered(), list[dict[str, str]](), list[dict[str, str]]()
    for one in objects:
        named = {"id": _name(one), "version": _version(one)}
        try:
            _gather(one, gathered, patterns)
            successes.append(named)
        except (ValidationError, ValueError, KeyError, TypeError, Invalid) as error:
            failures.append(named | {"message": _short(error)})
    at = now(session)
    share = ""
    if any(gathered.parts.values()):
        try:
            share = service.draft(
                session, frozenset({agency}), actor, _draft(agency, gathered, terms.policy), terms, state="proposed"
            ).number
        except (ValidationError, DomainError) as error:
            failures += [one | {"message": _short(error)} for one in successes]
            successes = []
    row = Submission(
        id=str(uuid.uuid4()), agency=agency, actor=actor, at=at, share=share, successes=successes, failures=failures
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def status(row: Submission) -> dict[str, Any]:
    """The status resource (TAXII 2.1, 4.3)."""
    return {
        **{"id": row.id, "status": "complete", "request_timestamp": taxii.stamp(row.at)},
        **{"total_count": len(row.successes) + len(row.failures), "success_count": len(row.successes), "successes": row.successes},
        **{"failure_count": len(row.failures), "failures": row.failures, "pending_count": 0, "pendings": []},
    }


def _draft(agency: str, gathered: _Gathered, policy: SharingPolicy) -> Draft:
    names = {"indicators": "indicator", "malware": "software", "vulnerabilities": "vulnerability"}
    most = max(names, key=lambda name: len(gathered.parts[name]))
    kind = policy.kind(names[most]) or policy.kinds[0]
    content = Content.model_validate({"title": gathered.title or kind.en, "summary": gathered.summary, **gathered.parts})
    return Draft(kind.id, strictest(gathered.levels), content, agency=agency)


def _gather(one: Any, into: _Gathered, patterns: Patterns) -> None:
    if not isinstance(one, dict) or not _ID.fullmatch(str(one.get("id"))) or not str(one["id"]).startswith(f"{one.get('type')}--"):
        raise ValueError("it has no STIX id of its type")
    if one.get("spec_version") != "2.1":
        raise ValueError("only STIX 2.1 is read")
    kind = one["type"]
    if kind in _READ_ONLY:
        return
    if one.get("revoked") is True:
        raise ValueError("it is revoked: tell the centre, which revokes what it shared of it")
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueError(f"objects of type {kind} are not taken here; these are: {', '.join(sorted(_READERS))}")
    reader(one, into, patterns)
    levels = [level for ref in one.get("object_marking_refs") or [] if (level := level_of(str(ref)))]
    into.levels.append(strictest(levels) if levels else _UNMARKED)


def _indicator(one: Object, into: _Gathered, patterns: Patterns) -> None:
    if one.get("pattern_type", "stix") != "stix":
        raise ValueError("only patterns of type stix are read")
    told = {"description": str(one.get("description") or ""), "confidence": one.get("confidence")}
    told |= {"valid_from": one.get("valid_from"), "valid_until": one.get("valid_until")}
    into.parts["indicators"] += [Indicator(type=kind, value=value, **told) for kind, value in patterns(str(one["pattern"]))]  # type: ignore[arg-type]


def _malware(one: Object, into: _Gathered, _: Patterns) -> None:
    types = tuple(str(word) for word in one.get("malware_types") or ())
    told = {"name": str(one.get("name") or "unnamed"), "description": str(one.get("description") or "")}
    into.parts["malware"].append(Malware(**told, family=one.get("is_family") is True, types=types))


def _vulnerability(one: Object, into: _Gathered, _: Patterns) -> None:
    into.parts["vulnerabilities"].append(Vulnerability(name=str(one["name"]), description=str(one.get("description") or "")))


def _technique(one: Object, into: _Gathered, _: Patterns) -> None:
    refs = [ref for ref in one.get("external_references") or [] if ref.get("source_name") == "mitre-attack"]
    if not refs:
        raise ValueError("an attack pattern is read by its ATT&CK id, and it names none")
    into.parts["techniques"].append(Technique(id=str(refs[0].get("external_id")), name=str(one.get("name") or "")))


def _measure(one: Object, into: _Gathered, _: Patterns) -> None:
    into.parts["measures"].append(Measure(name=str(one["name"]), description=str(one.get("description") or "")))


def _report(one: Object, into: _Gathered, _: Patterns) -> None:
    into.title, into.summary = str(one["name"])[:300], str(one.get("description") or "")[:8000]


_READERS: Final[Mapping[str, Callable[[Object, _Gathered, Patterns], None]]] = {
    "indicator": _indicator,
    "malware": _malware,
    "vulnerability": _vulnerability,
    "attack-pattern": _technique,
    "course-of-action": _measure,
    "report": _report,
}


def _name(one: Any) -> str:
    return str(one.get("id"))[:200] if isinstance(one, dict) else "unknown"


def _version(one: Any) -> str:
    return str(one.get("modified") or one.get("created") or "")[:40] if isinstance(one, dict) else ""


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"[:500]
    return f"{type(error).__name__}: {error}"[:500] if isinstance(error, KeyError) else str(error)[:500]
