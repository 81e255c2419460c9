"""Sigma rules from folders, with every error kept to its own rule.

Invariants:
- What is wrong or not supported is set aside as a RuleError with file, line and reason; it never stops another rule and never becomes
  a rule that means something else.
- Ids are unique over all folders; the first in order of path keeps it. A text that is laid over the folders takes the id from all of them.
- A rule's `hash` changes exactly when its document, or a filter laid over it, changes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import sigma.exceptions as sigma_errors
import structlog
import yaml
from sigma.collection import deep_dict_update
from sigma.filters import SigmaFilter
from sigma.rule import SigmaRule
from sigma.rule.base import SigmaRuleBase, SigmaYAMLLoader
from sigma.rule.logsource import SigmaLogSource

import detect.modifiers  # noqa: F401 - puts the encodings right in pySigma's table before any rule is read
from core.errors import RuleError
from core.rule_records import Suppression, hash_of, suppression
from detect.correlation import definition
from detect.correlation.definition import Correlation
from detect.meaning import Placeholders, tree_of
from detect.tree import AllOf, Node

OWN_RULES: Final = Path(__file__).resolve().parents[1] / "sigma_rules"
"""The rules that come with the product."""

_log = structlog.get_logger()
_SEPARATOR: Final = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_FILTER: Final = re.compile(r"""\bfilter["']?[ \t]*:""")
_NULL: Final = re.compile("<sigma[.]types[.]SigmaNull object at 0x[0-9a-f]+>")
_DEFAULT_LEVEL: Final = "medium"
# What is wrong in a rule's description, not in what it detects.
_DESCRIPTIVE: Final = (
    sigma_errors.SigmaTitleError,
    sigma_errors.SigmaIdentifierError,
    sigma_errors.SigmaLogsourceError,
    sigma_errors.SigmaLevelError,
    sigma_errors.SigmaStatusError,
    sigma_errors.SigmaTagError,
    sigma_errors.SigmaDateError,
    sigma_errors.SigmaModifiedError,
    sigma_errors.SigmaAuthorError,
    sigma_errors.SigmaDescriptionError,
    sigma_errors.SigmaReferencesError,
    sigma_errors.SigmaFalsePositivesError,
    sigma_errors.SigmaFieldsError,
    sigma_errors.SigmaRelatedError,
    sigma_errors.SigmaScopeError,
    sigma_errors.SigmaNameError,
)


@dataclass(frozen=True, slots=True)
class LogSource:
    """Which logs a rule is for; '' where it does not say."""

    category: str = ""
    product: str = ""
    service: str = ""

    def covers(self, other: LogSource) -> bool:
        """Whether everything said here is also said by `other`."""
        return all(not mine or mine == its for mine, its in zip(self.parts, other.parts, strict=True))

    @property
    def parts(self) -> tuple[str, str, str]:
        return self.category, self.product, self.service

    def __str__(self) -> str:
        named = zip(("category", "product", "service"), self.parts, strict=True)
        return ", ".join(f"{name} {value}" for name, value in named if value) or "(none)"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can be compiled. `custom` holds the attributes Sigma does not define, as written; `filters` are laid over it.

    `sources` are its document and those of its filters, as JSON: `hash_of` makes its hash of them.
    """

    id: str
    name: str
    title: str
    level: str
    tags: tuple[str, ...]
    logsource: LogSource
    hash: str
    file: str
    line: int
    tree: Node
    description: str = ""
    custom: Mapping[str, Any] = field(default_factory=dict)
    filters: tuple[RuleFilter, ...] = ()
    sources: tuple[str, ...] = ()
    status: str = ""


@dataclass(frozen=True, slots=True)
class RuleFilter:
    """A Sigma filter: a further condition on the rules it names (None: on every rule its log source covers)."""

    id: str
    title: str
    rules: tuple[str, ...] | None
    logsource: LogSource
    hash: str
    file: str
    line: int
    tree: Node
    source: str = ""

    def applies(self, rule: Rule) -> bool:
        named = self.rules is None or rule.id in self.rules or (rule.name in self.rules if rule.name else False)
        return named and self.logsource.covers(rule.logsource)


@dataclass(frozen=True, slots=True)
class RuleBook:
    """What was loaded and what was set aside."""

    rules: tuple[Rule, ...]
    set_aside: tuple[RuleError, ...] = ()
    correlations: tuple[Correlation, ...] = ()


Read = Rule | RuleFilter | Correlation
"""What a document may hold."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of rules that stands in no folder, and the name that stands in place of its file's."""

    name: str
    text: str


def load(
    folders: Iterable[Path], placeholders: Placeholders | None = None, disabled: Collection[str] = (), texts: Iterable[Text] = ()
) -> RuleBook:
    """Every rule of every `.yml` and `.yaml` file under `folders` (or of one file) but those whose id is `disabled`, filters applied.

    Files `*.samples.yml` are not rules. A rule of `texts` takes the place of that of a file, or of an earlier text, with the same id.
    """
    found: list[Read] = []
    errors: list[RuleError] = []
    for folder in folders:
        if not folder.exists():
            errors.append(RuleError(folder, "there is no such folder of rules"))
        for path in rule_files(folder):
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                errors.append(RuleError(path, f"cannot be read: {error}"))
                continue
            read, wrong = read_text(text, str(path), placeholders or {})
            found += read
            errors += wrong
    for one in texts:
        read, wrong = read_text(one.text, one.name, placeholders or {})
        taken = {rule.id for rule in read}
        found = [rule for rule in found if rule.id not in taken] + read
        errors += wrong
    return _bound([one for one in found if one.id not in disabled], errors)


def suppress_of(custom: Mapping[str, Any]) -> Suppression | None:
    """What a rule with these attributes suppresses (`custom: suppress:`); ValueError when it cannot be read."""
    ours = custom.get("custom")
    return suppression(ours["suppress"]) if isinstance(ours, Mapping) and "suppress" in ours else None


def rule_files(folder: Path) -> list[Path]:
    """The files of rules under `folder`, in order of path, or the one file that it is; none when there is no such folder."""
    if folder.is_file():
        return [folder]
    files = (Path(where, name) for where, _, names in os.walk(folder) for name in names if name.endswith((".yml", ".yaml")))
    return sorted(path for path in files if ".samples." not in path.name)


def load_file(file: Path, folders: Iterable[Path]) -> RuleBook:
    """What one file holds, with the filters of the files under `folders` laid over it; files without filters are not read as rules."""
    others = [path for folder in folders for path in rule_files(folder) if path.resolve() != file.resolve()]
    book = load([file, *(path for path in others if _FILTER.search(path.read_text("utf-8", errors="replace")))])
    own = str(file)
    return RuleBook(
        tuple(rule for rule in book.rules if rule.file == own),
        tuple(error for error in book.set_aside if error.file == own),
        tuple(one for one in book.correlations if one.file == own),
    )


def parse(text: str, file: str, placeholders: Placeholders | None = None, *, strict: bool = True) -> RuleBook:
    """The rules of one text, filters applied. Not `strict`: faults of description (id, title, log source, tags, ...) are passed over."""
    found, errors = read_text(text, file, placeholders or {}, strict=strict)
    return _bound(found, errors)


def read_text(text: str, file: str, placeholders: Placeholders, *, strict: bool = True) -> tuple[list[Read], list[RuleError]]:
    """The rules and filters of one text of YAML documents, and what had to be set aside."""
    found: list[Read] = []
    errors: list[RuleError] = []
    merge: dict[str, Any] = {}
    for line, source in documents(text):
        try:
            document = yaml.load(source, SigmaYAMLLoader)  # noqa: S506 - pySigma's loader is a CSafeLoader that also refuses repeated keys
            if document is None:
                continue
            if not isinstance(document, dict):
                raise RuleError(file, "a rule is a YAML map", line)
            if "action" in document:
                merge = _action(document, file, line)
                continue
            found.append(_read(deep_dict_update(document, merge) if merge else document, file, line, placeholders, strict))
        except RuleError as error:
            errors.append(error)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            errors.append(RuleError(file, f"not YAML: {getattr(error, 'problem', None) or error}", line + mark.line if mark else line))
        except ValueError as error:  # pySigma's errors, ConditionError and MeaningError
            errors.append(RuleError(file, str(error), line))
        except Exception as error:  # noqa: BLE001 - the loop's boundary: pySigma raises anything on a value of a wrong type
            _log.warning("rules.unreadable", file=file, line=line, exc_info=True)
            errors.append(RuleError(file, f"cannot be read: {type(error).__name__}: {error}", line))
    return found, errors


def documents(text: str) -> Iterator[tuple[int, str]]:
    """Each YAML document with the line it begins on, so that one that is broken leaves the others readable."""
    start = 0
    for separator in [*_SEPARATOR.finditer(text), None]:
        end = separator.start() if separator else len(text)
        source = text[start:end]
        if source.strip():
            blank = len(source) - len(source.lstrip("\r\n"))
            yield text.count("\n", 0, start + blank) + 1, source[blank:]
        start = separator.end() if separator else end


def _action(document: dict[str, Any], file: str, line: int) -> dict[str, Any]:
    """What the documents after an `action` document are merged with (Sigma 1 collections)."""
    action = document.pop("action")
    if action == "global":
        return document
    if action == "reset":
        return {}
    raise RuleError(file, f"the collection action {action!r} is not supported; write the rule out", line)


def _read(document: dict[str, Any], file: str, line: int, placeholders: Placeholders, strict: bool) -> Read:
    source = json.dumps(document, sort_keys=True, default=str)
    if "correlation" in document:
        return _correlation(document, file, line, source, strict)
    kind = SigmaFilter if "filter" in document else SigmaRule
    parsed = kind.from_dict(document, collect_errors=True)
    faults = [error for error in parsed.errors if strict or not isinstance(error, _DESCRIPTIVE)]
    if faults:
        raise RuleError(file, "; ".join(_said(fault) for fault in faults), line)
    if strict and parsed.id is None:
        raise RuleError(file, "it has no id; give it a new UUID", line)
    suppress_of(parsed.custom_attributes)
    logsource = _logsource(parsed.logsource)
    if isinstance(parsed, SigmaFilter):
        references = parsed.filter.rules
        named = None if isinstance(references, str) else tuple(reference.reference for reference in references)
        return RuleFilter(
            str(parsed.id or ""),
            parsed.title or "",
            named,
            logsource,
            hash_of([source]),
            file,
            line,
            tree_of(parsed.filter, placeholders),
            source,
        )
    return Rule(
        id=_id(parsed.id, document),
        name=parsed.name or "",
        title=parsed.title,
        level=_level(parsed.level),
        tags=tuple(str(tag) for tag in parsed.tags),
        logsource=logsource,
        hash=hash_of([source]),
        file=file,
        line=line,
        tree=tree_of(parsed.detection, placeholders),
        sources=(source,),
        description=parsed.description or "",
        custom=dict(parsed.custom_attributes),
        status=_word(parsed.status),
    )


def _said(fault: Exception) -> str:
    """pySigma shows null as an object of Python."""
    return _NULL.sub("null", str(fault))


def _correlation(document: dict[str, Any], file: str, line: int, source: str, strict: bool) -> Correlation:
    """pySigma reads the description; the correlation itself we read ourselves."""
    about, errors = SigmaRuleBase.from_dict_common_params(document, collect_errors=True)
    faults = [error for error in errors if strict or not isinstance(error, _DESCRIPTIVE)]
    if faults:
        raise RuleError(file, "; ".join(str(fault) for fault in faults), line)
    if strict and about["id"] is None:
        raise RuleError(file, "it has no id; give it a new UUID", line)
    suppress_of(about.get("custom_attributes") or {})
    return definition.read(
        document["correlation"],
        file,
        line,
        id=_id(about["id"], document),
        name=str(about["name"] or ""),
        title=str(about["title"] or ""),
        level=_level(about["level"]),
        hash=hash_of([source]),
        sources=(source,),
        tags=tuple(str(tag) for tag in about["tags"] or ()),
        description=str(about["description"] or ""),
        custom=dict(about.get("custom_attributes") or {}),
        status=_word(about["status"]),
    )


def _id(parsed: Any, document: Mapping[str, Any]) -> str:
    """The rule's id; where descriptions are not judged, what stands in its place serves references."""
    return str(parsed or document.get("id") or "")


def _level(parsed: Any) -> str:
    return _word(parsed) or _DEFAULT_LEVEL


def _word(parsed: Any) -> str:
    return str(parsed.name).lower() if parsed else ""


def _logsource(source: SigmaLogSource) -> LogSource:
    return LogSource(*(str(part or "").lower() for part in (source.category, source.product, source.service)))


def _bound(found: Sequence[Read], errors: list[RuleError]) -> RuleBook:
    """Duplicates refused, filters laid over the rules they name."""
    first: dict[str, Rule | Correlation] = {}
    unique: list[Rule | Correlation] = []
    for one in found:
        if isinstance(one, RuleFilter):
            continue
        if one.id in first:
            errors.append(RuleError(one.file, f"its id {one.id} is already that of the rule in {first[one.id].file}", one.line))
            continue
        unique.append(one)
        if one.id:
            first[one.id] = one
    kept = [one for one in unique if isinstance(one, Rule)]
    for one in found:
        if isinstance(one, RuleFilter):
            if not any(one.applies(rule) for rule in kept):
                errors.append(RuleError(one.file, "the filter fits no rule that is loaded", one.line))
            kept = [filtered(rule, one) if one.applies(rule) else rule for rule in kept]
    correlations = tuple(one for one in unique if isinstance(one, Correlation))
    return RuleBook(tuple(kept), tuple(errors), correlations)


def filtered(rule: Rule, by: RuleFilter) -> Rule:
    """The rule with a filter laid over it."""
    sources = (*rule.sources, by.source)
    return replace(rule, tree=AllOf((rule.tree, by.tree)), hash=hash_of(sources), filters=(*rule.filters, by), sources=sources)
