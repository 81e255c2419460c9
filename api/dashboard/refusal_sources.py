"""Which messages of the API reach a page: the templates that `refusals` translates, read from the sources.

A message is a literal or an f-string given to an error of the domain, to a ValueError of a validator or, in modules whose functions answer
with a reason, returned. Messages for operators at a terminal (settings, files of rules of the installation, the bus) and for machines
(TAXII, alerts and logs of other systems) are not among them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]

MODULES: Final = (
    "api/auth",
    "api/routes",
    "api/etags.py",
    "api/files.py",
    "api/live.py",
    "api/paging.py",
    "api/rates.py",
    "api/rule_bench.py",
    "api/rule_states.py",
    "api/saved_views.py",
    "api/sharing.py",
    "api/time_range.py",
    "core/exercise.py",
    "core/instants.py",
    "core/permissions.py",
    "core/rule_records.py",
    "core/storage/event_marks.py",
    "core/storage/event_queries.py",
    "core/storage/event_search.py",
    "core/storage/line_paging.py",
    "core/versions.py",
    "detect/compiled.py",
    "detect/conditions.py",
    "detect/correlation",
    "detect/coverage.py",
    "detect/drafts.py",
    "detect/explain.py",
    "detect/hunt",
    "detect/lint.py",
    "detect/logsources.py",
    "detect/meaning.py",
    "detect/modifiers.py",
    "detect/needs.py",
    "detect/objects.py",
    "detect/rules.py",
    "detect/ruleset.py",
    "detect/search_rule.py",
    "respond",
)
"""What a request of a page can run into."""

NOT_SHOWN: Final = {
    "api/routes/alerts.py": "machines of linked centres send alerts",
    "api/routes/logs.py": "machines send logs",
    "api/routes/taxii.py": "machines speak TAXII",
    "respond/audit.py": "a defect of a caller",
    "respond/bundle.py": "read at a terminal",
    "respond/cases/clocks.py": "a defect of a caller",
    "respond/cases/machine.py:ValueError": "a defect in the table of a machine",
    "respond/checklists.py:ValueError": "a file of the installation, read at its start",
    "respond/drills/scenario.py:ValueError": "a file of the installation, read at its start",
    "respond/duties/policy.py": "a file of the installation, read at its start",
    "respond/duties/service.py:ValueError": "a defect of a caller",
    "respond/cases/records.py:ValueError": "a defect of a caller",
    "respond/feed/periods.py:ValueError": "caught and told otherwise",
    "respond/personal/evaluation.py": "a defect of a caller",
    "respond/personal/packs.py:ValueError": "a file of the installation, read at its start",
    "respond/readiness/policy.py": "a file of the installation, read at its start",
    "respond/sharing/inbox.py": "machines send objects",
    "respond/sharing/peers.py": "machines answer",
    "respond/sharing/policy.py": "a file of the installation, read at its start",
    "respond/sharing/signed.py": "read at a terminal",
    "respond/sharing/taxii.py": "machines speak TAXII",
    "respond/teams/composition.py:ValueError": "a file of the installation, read at its start",
    "respond/warnings/levels.py": "a file of the installation, read at its start",
}
"""Modules among those, or their errors of one class, whose messages no page shows; and why."""

REASONING: Final = ("respond/readiness/judge.py",)
"""Modules that name a `reason` for a step the centre takes by itself; histories show it."""

ANSWERING: Final = ("detect/coverage.py", "detect/lint.py", "detect/needs.py")
"""Modules whose functions answer with a reason instead of raising it."""

REMARKING: Final = ("detect/drafts.py", "detect/explain.py")
"""Modules whose functions answer with something and a remark about it."""

_ERRORS: Final = {
    "Unauthenticated": 0,
    "Forbidden": 0,
    "NotFound": 0,
    "Conflict": 0,
    "Stale": 0,
    "Invalid": 0,
    "TooMany": 0,
    "TooLarge": 0,
    "Unsupported": 0,
    "QueryTooCostly": 0,
    "ValueError": 0,
    "RuleError": 1,
    "ConditionError": 0,
    "MeaningError": 0,
    "SigmaValueError": 0,
    "UnknownLogSource": 0,
    "wrong": -1,
    "_wrong": -1,
}
"""Errors whose messages reach people, and what makes them in a module; and which argument is the message."""

OF_PYDANTIC: Final = (
    "Field required",
    "Extra inputs are not permitted",
    "Input should be a valid string",
    "Input should be a valid integer",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid number",
    "Input should be a valid boolean",
    "Input should be a valid list",
    "Input should be a valid dictionary",
    "Input should be {0}",
    "Input should be greater than {0}",
    "Input should be greater than or equal to {0}",
    "Input should be less than {0}",
    "Input should be less than or equal to {0}",
    "Input should have timezone info",
    "Input should be a valid datetime, {0}",
    "Input should be a valid datetime or date, {0}",
    "Input should be a valid date or datetime, {0}",
    "String should have at least {0} character",
    "String should have at least {0} characters",
    "String should have at most {0} character",
    "String should have at most {0} characters",
    "String should match pattern '{0}'",
    "List should have at least {0} item after validation, not {1}",
    "List should have at least {0} items after validation, not {1}",
    "List should have at most {0} item after validation, not {1}",
    "List should have at most {0} items after validation, not {1}",
)
"""What the library that reads bodies finds wrong with them."""

OF_PYSIGMA: Final = (
    "Sigma rule must have a log source",
    "Sigma logsource must be a valid YAML map",
    "Sigma rule must have a detection definitions",
    "Sigma detection must be a valid YAML map",
    "Detection is empty",
    "No detections defined in Sigma rule",
    "Sigma rule must contain at least one condition",
    "Unknown modifier {0}",
    "Null value must be bound to a field",
    "Unsupported detection definition type: {0}",
    "Sigma rule title must be a string",
    "Sigma rule must have a title",
    "Sigma rule title length must not exceed 256 characters",
    "Sigma rule identifier must be an UUID",
    "Sigma rule name must not be empty",
    "'{0}' is not a valid Sigma rule level",
    "'{0}' is not a valid Sigma rule status",
    "Sigma rule level must be a string",
    "Sigma rule tags must be a list of strings",
    "Sigma tags fields must be a list",
    "Sigma tag must start with namespace separated with dot from remaining tag.",
    "Sigma log source can't be empty",
    "Sigma log source category must be string",
    "Sigma log source product must be string",
    "Sigma log source service must be string",
    "Invalid number",
    "Regular expression '{0}' is invalid: {1}",
    "Invalid CIDR expression: {0}",
    "Base64 encoding of strings with wildcards is not allowed",
    "Regular expression modifier only applicable to unmodified values",
    "CIDR expression modifier only applicable to unmodified values",
    "Field references must not contain wildcards",
    "Exists modifier must be applied to field",
    "Exists modifier only applicable to unmodified boolean values",
    "Modifier {0} incompatible to value type of '{1}'",
    "Wide modifier only allowed for ascii strings, input string '{0}' isn't one",
)
"""What the library that reads rules finds wrong with one somebody writes."""


def templates() -> set[str]:
    """The template of every message that a page may show."""
    return {
        *OF_PYDANTIC,
        *OF_PYSIGMA,
        *(found for path in _files() for found in of_source(path, (_ROOT / path).read_text(encoding="utf-8"))),
    }


def of_source(path: str, source: str) -> Iterator[str]:
    """The templates of one module."""
    for node in ast.walk(ast.parse(source)):
        for template in map(_template, _messages(path, node)):
            if _says_something(template):
                yield template


def _files() -> Iterator[str]:
    for module in MODULES:
        place = _ROOT / module
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            path = file.relative_to(_ROOT).as_posix()
            if path not in NOT_SHOWN:
                yield path


def _messages(path: str, node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args) if name in _ERRORS and f"{path}:{name}" not in NOT_SHOWN:
            yield from _branches(args[_ERRORS[name]]) if len(args) > _ERRORS[name] else ()
        case ast.Call(func=ast.Attribute(attr=name), args=args) if name in _ERRORS and args:
            yield from _branches(args[_ERRORS[name]])
        case ast.Return(value=ast.Tuple(elts=[_, value])) | ast.Yield(value=ast.Tuple(elts=[_, value])) if path in REMARKING:
            yield from _branches(value)
        case ast.Assign(targets=[ast.Name("reason")], value=value) if path in REASONING:
            yield value
        case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value) if path in ANSWERING:
            yield from _branches(value)


def _branches(value: ast.expr) -> Iterator[ast.expr]:
    match value:
        case ast.IfExp(body=one, orelse=other):
            yield from (*_branches(one), *_branches(other))
        case _:
            yield value


def _template(message: ast.expr) -> str:
    """The message with a numbered placeholder for everything that is put in; '' when it is said elsewhere."""
    match message:
        case ast.Constant(value=str(said)):
            return _escaped(said)
        case ast.JoinedStr(values=parts):
            places = iter(range(len(parts)))
            return "".join(_escaped(str(one.value)) if isinstance(one, ast.Constant) else f"{{{next(places)}}}" for one in parts)
        case _:
            return ""


def _escaped(said: str) -> str:
    return said.replace("{", "{{").replace("}", "}}")


def _says_something(template: str) -> bool:
    """Whether it is a sentence; `{0}: {1}` only joins others."""
    return " " in template and any(one.isalpha() for one in template)
