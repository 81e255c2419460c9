"""From pySigma's detections to our tree.

pySigma has read the YAML, applied the modifiers and checked types by then. What it lets go of is read again from each item's modifiers:
`cased` before `windash`, `fieldref` or an encoding. What cannot be said in the tree raises MeaningError and never means something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaDetections
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from detect import conditions
from detect.modifiers import Cased
from detect.tree import (
    AllOf,
    AnyOf,
    Boolean,
    Compare,
    Exists,
    Item,
    Negation,
    Network,
    Node,
    Null,
    Number,
    Pattern,
    Reference,
    Regex,
    Test,
    TimePart,
    Wild,
)

Placeholders = Mapping[str, Sequence[str]]
_WILD: Final = {SpecialChars.WILDCARD_MULTI: Wild.MANY, SpecialChars.WILDCARD_SINGLE: Wild.ONE}
_RELATION: Final = {CompareOperators.LT: "<", CompareOperators.LTE: "<=", CompareOperators.GT: ">", CompareOperators.GTE: ">="}


class MeaningError(ValueError):
    """Something in a detection has no meaning we can give it."""


def tree_of(detections: SigmaDetections, placeholders: Placeholders) -> Node:
    """The tree of a rule's or filter's detections and conditions (several conditions: any of them).

    MeaningError or `conditions.ConditionError` says what cannot be read.
    """
    if "timeframe" in detections.detections:
        raise MeaningError("'timeframe' belongs to aggregations, which are no longer Sigma; write a correlation rule")
    named = {str(name): partial(_detection, detection, placeholders) for name, detection in detections.detections.items()}
    trees = tuple(conditions.parse(str(condition), named) for condition in detections.condition)
    return trees[0] if len(trees) == 1 else AnyOf(trees)


def parts_of(detections: SigmaDetections, placeholders: Placeholders) -> dict[str, Node]:
    """The tree of each detection by its name; MeaningError when one cannot be read."""
    return {str(name): _detection(detection, placeholders) for name, detection in detections.detections.items()}


def _detection(detection: SigmaDetection, placeholders: Placeholders) -> Node:
    nodes = tuple(
        _item(child, placeholders) if isinstance(child, SigmaDetectionItem) else _detection(child, placeholders)
        for child in detection.detection_items
    )
    if len(nodes) == 1:
        return nodes[0]
    return AllOf(nodes) if isinstance(detection.detection_items[0], SigmaDetectionItem) else AnyOf(nodes)


def _item(item: SigmaDetectionItem, placeholders: Placeholders) -> Node:
    cased = Cased in item.modifiers
    every = item.value_linking.__name__ == "ConditionAND"
    values = item.value or [SigmaNull()]
    nodes = tuple(_value(item.field, value, cased, placeholders) for value in values)
    node = nodes[0] if len(nodes) == 1 else AllOf(nodes) if every else AnyOf(nodes)
    return Negation(node) if item.negated else node


def _value(field: str | None, value: SigmaType, cased: bool, placeholders: Placeholders) -> Node:
    if isinstance(value, SigmaExpansion):
        return _any([_value(field, inner, cased, placeholders) for inner in value.values])
    if isinstance(value, SigmaString):
        return _any([Item(field, _pattern(text, cased)) for text in _filled(value, placeholders)])
    if isinstance(value, SigmaRegularExpression):
        if not isinstance(value.regexp, SigmaString):
            raise MeaningError(f"a regular expression is text; write {str(value.regexp)!r} in quotes")
        return _any([Item(field, _regex(filled)) for filled in _filled_regex(value, placeholders)])
    test = _test(value, cased)
    if field is None:
        if not isinstance(test, Number | Boolean):
            raise MeaningError(f"{type(test).__name__.lower()} needs a field; a keyword is text, a number or a regular expression")
        test = Pattern((str(test.value).lower(),))
    return Item(field, test)


def _any(nodes: Sequence[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else AnyOf(tuple(nodes))


def _test(value: SigmaType, cased: bool) -> Test:
    match value:
        case SigmaTimestampPart():
            return TimePart(value.timestamp_part.name.lower(), value.number)
        case SigmaNumber():
            return Number(value.number)
        case SigmaBool():
            return Boolean(value.boolean)
        case SigmaNull():
            return Null()
        case SigmaExists():
            return Exists(value.exists)
        case SigmaCIDRExpression():
            return Network(value.network)
        case SigmaCompareExpression() if value.op in _RELATION:
            number, relation = value.number, _RELATION[value.op]
            if isinstance(number, SigmaTimestampPart):
                return TimePart(number.timestamp_part.name.lower(), number.number, relation)
            return Compare(relation, number.number)
        case SigmaFieldReference():
            return Reference(value.field, value.starts_with, value.ends_with, cased)
    raise MeaningError(f"a value of pySigma's type {type(value).__name__} is not supported")


def _pattern(value: SigmaString, cased: bool) -> Pattern:
    parts: list[str | Wild] = []
    for part in value.s:
        if isinstance(part, SpecialChars):
            wild = _WILD[part]
            if wild is Wild.MANY and parts and parts[-1] is Wild.MANY:
                continue
            parts.append(wild)
        elif isinstance(part, str):
            if parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part:
                parts.append(part)
    return Pattern(tuple(parts), cased)


def _regex(value: SigmaRegularExpression) -> Regex:
    flags = "".join(sorted(SigmaRegularExpression.sigma_to_re_flag[flag] for flag in value.flags))
    return Regex(value.regexp.to_plain_regex(), flags)


def _filled(value: SigmaString, placeholders: Placeholders) -> list[SigmaString]:
    return value.replace_placeholders(partial(_fill, placeholders)) if value.contains_placeholder() else [value]


def _filled_regex(value: SigmaRegularExpression, placeholders: Placeholders) -> list[SigmaRegularExpression]:
    return value.replace_placeholders(partial(_fill, placeholders)) if value.contains_placeholder() else [value]


def _fill(placeholders: Placeholders, placeholder: Placeholder) -> Iterator[SigmaString]:
    values = placeholders.get(placeholder.name)
    if not values:
        raise MeaningError(f"the placeholder %{placeholder.name}% has no values here")
    for value in values:
        yield SigmaString(str(value))
