"""What a rule could do better: pySigma's validators and our own wishes. Nothing here keeps a rule from running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from sigma.exceptions import SigmaRuleLocation
from sigma.rule import SigmaDetectionItem, SigmaRule
from sigma.rule.base import SigmaYAMLLoader
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

from detect.compiled import CompiledRule

NEED_INTERNET: Final = frozenset(("attacktag", "d3_fendtag"))
"""Validators that fetch the lists of MITRE ATT&CK and D3FEND when they run; an installation may have no internet at all."""


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - what the command calls it
    """A wish about a rule. `line` counts from 1; 0 when unknown."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


def warnings(files: Sequence[Path], compiled: Sequence[CompiledRule]) -> Iterator[Warning]:
    """What `files` could do better, by file; `compiled` are the rules of them that run. Files that cannot be read are passed over."""
    yield from sorted(_warnings(files, compiled), key=lambda one: (one.file, one.line, one.reason))


def _warnings(files: Sequence[Path], compiled: Sequence[CompiledRule]) -> Iterator[Warning]:
    documents = [(file, document) for file in files for document in _documents(file)]
    running = {one.rule.id for one in compiled}
    yield from _of_pysigma([(file, document) for file, document in documents if str(document.get("id", "")) in running])
    for file, document in documents:
        for reason in wishes(document):
            yield Warning(str(file), 0, f"{document.get('title')!r}: {reason}")
    for file in files:
        if not file.with_suffix(".samples.yml").exists():
            yield Warning(str(file), 0, "no samples: put raw lines that must match and must not into a .samples.yml beside it")
    for one in compiled:
        if one.unknown:
            names = ", ".join(sorted(one.unknown))
            yield Warning(one.rule.file, one.rule.line, f"no event of ours has the fields {names}: the parts that test them never hold")


def _of_pysigma(documents: Iterable[tuple[Path, dict[str, Any]]]) -> Iterator[Warning]:
    """The validators that work without internet, as `sigma check` runs them."""
    judge = SigmaValidator([validator for name, validator in validators.items() if name not in NEED_INTERNET])
    rules = [SigmaRule.from_dict(document, collect_errors=True, source=SigmaRuleLocation(file)) for file, document in documents]
    for issue in judge.validate_rules(rule for rule in rules if not rule.errors):
        more = ", ".join(f"{name} {_short(value)}" for name, value in vars(issue).items() if name != "rules")
        reason = f"pySigma ({issue.severity.name.lower()}): {issue.description}{f' ({more})' if more else ''}"
        for rule in issue.rules:
            yield Warning(str(rule.source.path) if rule.source else "", 0, f"{rule.title!r}: {reason}")


def _short(value: Any) -> str:
    return f"of the field {value.field}" if isinstance(value, SigmaDetectionItem) else str(value)


def _documents(file: Path) -> list[dict[str, Any]]:
    try:
        found = list(yaml.load_all(file.read_text("utf-8"), SigmaYAMLLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    return [document for document in found if isinstance(document, dict) and ("detection" in document or "correlation" in document)]


def wishes(document: dict[str, Any]) -> Iterator[str]:
    """What a document of a rule lacks by our own wishes."""
    tags = document.get("tags")
    if not isinstance(tags, list) or not any(str(tag).startswith("attack.") for tag in tags):
        yield "no tag of ATT&CK: it is missing in the table of `bongsu rules coverage`"
    if not document.get("falsepositives"):
        yield "no falsepositives: say what else looks like this"
    if not document.get("level"):
        yield "no level: it counts as medium"
