"""One Sigma test on one field as a ClickHouse predicate.

Invariants:
- A predicate is 0 or 1, never NULL: an absent field makes every test false but `null`, `exists: false` and the empty text, so that `not`
  of a false test is true.
- `True` and `False` stand for a predicate that no event can change; the compiler folds them away.
- Case is folded in the engine on both sides (`lowerUTF8`), so value and pattern always agree on what folding is. The folded column is
  the same expression in every rule, and the engine computes it once for a batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from detect import literals
from detect.fields import Field, FieldKind
from detect.tree import Boolean, Compare, Exists, Network, Null, Pattern, Reference, Regex, Test, TimePart, Wild

Predicate = str | bool
_MOST_NEEDLES = 255  # of multiSearchAny
_SHORTEST_DATE = len("20240101")  # the engine would read "10" as a day
_UNSIGNED = re.compile(r"0|[1-9][0-9]{0,19}")
_PART = {
    "minute": "toMinute({})",
    "hour": "toHour({})",
    "day": "toDayOfMonth({})",
    "week": "toISOWeek({})",
    "month": "toMonth({})",
    "year": "toYear({})",
}


def any_of(predicates: Sequence[Predicate]) -> Predicate:
    """Their disjunction, constants folded."""
    if any(p is True for p in predicates):
        return True
    kept = list(dict.fromkeys(p for p in predicates if isinstance(p, str)))
    return False if not kept else kept[0] if len(kept) == 1 else f"({' OR '.join(kept)})"


def all_of(predicates: Sequence[Predicate]) -> Predicate:
    """Their conjunction, constants folded."""
    if any(p is False for p in predicates):
        return False
    kept = list(dict.fromkeys(p for p in predicates if isinstance(p, str)))
    return True if not kept else kept[0] if len(kept) == 1 else f"({' AND '.join(kept)})"


def negation(predicate: Predicate) -> Predicate:
    """Its opposite."""
    return not predicate if isinstance(predicate, bool) else f"NOT {predicate}"


@dataclass(frozen=True, slots=True)
class Text:
    """SQL of a String. `present` says when there is a value at all: a column's '' is none, an element of a list always is.

    `blank` says when it passes a test for the empty text; `folded` is the text in lower case.
    """

    sql: str
    present: Predicate
    blank: str
    folded: str


def test(field: Field, wanted: Test) -> Predicate:
    """Whether `field` passes `wanted` (not a Reference; a Number comes as the Pattern of its digits)."""
    if isinstance(wanted, Pattern):
        return patterns(field, [wanted])
    if isinstance(wanted, Null):
        return negation(_exists(field))
    if isinstance(wanted, Network):
        return networks(field, [wanted])
    if isinstance(wanted, Exists):
        return _there(field) if wanted.wanted else negation(_there(field))
    return _TESTS[field.kind](field, wanted)


def absent(wanted: Test, *, blank: bool = True) -> bool:
    """Whether a field that is in no event passes `wanted`; `blank` tells it of the empty text."""
    match wanted:
        case Pattern(parts):
            return blank and not parts
        case Exists(there):
            return not there
    return isinstance(wanted, Null)


def patterns(field: Field, wanted: Sequence[Pattern]) -> Predicate:
    """Whether `field` fits any of `wanted`."""
    if field.kind in (FieldKind.TEXT, FieldKind.VALUES):
        return _each(field, lambda text: _fits(text, wanted))
    if field.kind is FieldKind.TIME:
        return _fits(text_of(field), wanted)
    as_text = [p for p in wanted if Wild.MANY in p.parts or Wild.ONE in p.parts]
    literal = _number if field.kind is FieldKind.NUMBER else _address
    values = [value for p in wanted if p not in as_text and p.parts and (value := literal(p))]
    return any_of(
        [
            _among(field, values),
            negation(_exists(field)) if any(not p.parts for p in wanted) else False,
            _exists(field) if any(p.parts == (Wild.MANY,) for p in as_text) else False,
            _fits(text_of(field), [p for p in as_text if p.parts != (Wild.MANY,)]),
        ]
    )


def networks(field: Field, wanted: Sequence[Network]) -> Predicate:
    """Whether `field` is an address of any of `wanted`."""
    if field.kind in (FieldKind.TEXT, FieldKind.VALUES):
        return _each(field, lambda text: _within(f"toIPv6OrNull({text.sql})", wanted, nullable=True))
    return _within(field.sql, wanted, field.nullable) if field.kind is FieldKind.ADDRESS else False


def _within(sql: str, wanted: Sequence[Network], nullable: bool) -> Predicate:
    spans = [span for one in wanted for span in literals.ranges(one.network)]
    return _certain(" OR ".join(f"{sql} BETWEEN {first} AND {last}" for first, last in spans), nullable)


def reference(field: Field, other: Field, wanted: Reference) -> Predicate:
    """Whether `field` stands in the relation `wanted` to `other`. One of several values is enough on either side."""
    if field.kind is other.kind and field.kind not in (FieldKind.TEXT, FieldKind.VALUES) and not wanted.begins and not wanted.ends:
        return _certain(f"{field.sql} = {other.sql}", field.nullable or other.nullable)
    return _each(field, lambda left: _each(other, lambda right: _related(left, right, wanted), "y"))


def _related(left: Text, right: Text, wanted: Reference) -> Predicate:
    whole, part = (left.sql, right.sql) if wanted.cased else (left.folded, right.folded)
    relation = f"{whole} = {part}"
    if wanted.begins and wanted.ends:
        relation = f"position({whole}, {part}) > 0"
    elif wanted.begins or wanted.ends:
        relation = f"{'startsWith' if wanted.begins else 'endsWith'}({whole}, {part})"
    return all_of([left.present, right.present, relation])


def _certain(sql: str, nullable: bool) -> str:
    return f"ifNull({sql}, 0)" if nullable else f"({sql})"


def _there(field: Field) -> Predicate:
    return field.there or _exists(field)


def _exists(field: Field) -> Predicate:
    if field.kind is FieldKind.VALUES:
        return f"notEmpty({field.sql})"
    if field.kind is FieldKind.TEXT:
        return field.present or f"({field.sql} != '')"
    return f"isNotNull({field.sql})" if field.nullable else True


def text(field: Field) -> str:
    """The SQL of `field` as text, '' when absent; an IPv4 address in dotted form, a time as `YYYY-MM-DD hh:mm:ss.mmm`."""
    return text_of(field).sql


def text_of(field: Field) -> Text:
    """The field as text, '' when absent; an IPv4 address in dotted form, a time as `YYYY-MM-DD hh:mm:ss.mmm`."""
    if field.present:
        return Text(field.sql, field.present, f"({field.present} AND {field.sql} = '')", field.folded)
    if field.kind is FieldKind.TEXT:
        sql = field.sql
    elif field.kind is FieldKind.ADDRESS:
        sql = f"replaceRegexpOne({_or_empty(f'IPv6NumToString({field.sql})', field.nullable)}, '^::ffff:', '')"
    else:
        sql = _or_empty(f"toString({field.sql})", field.nullable)
    return _plain(sql, f"({sql} != '')")


def _plain(sql: str, present: Predicate) -> Text:
    return Text(sql, present, f"({sql} = '')", f"lowerUTF8({sql})")


def _or_empty(sql: str, nullable: bool) -> str:
    return f"ifNull({sql}, '')" if nullable else sql


def _each(field: Field, predicate: Callable[[Text], Predicate], variable: str = "x") -> Predicate:
    """`predicate` on the field's text, or on at least one of its values."""
    if field.kind is not FieldKind.VALUES:
        return predicate(text_of(field))
    inner = predicate(_plain(variable, True))
    if isinstance(inner, bool):
        return f"notEmpty({field.sql})" if inner else False
    return f"arrayExists({variable} -> {inner}, {field.sql})"


def _fits(text: Text, wanted: Sequence[Pattern]) -> Predicate:
    """Whether `text` fits any of `wanted`: equal texts in one set, contained ones in one search, the rest one by one."""
    equal: dict[str, list[str]] = {}
    within: dict[str, list[str]] = {}
    found: list[Predicate] = []
    fold = any(_has_case(pattern) for pattern in wanted)
    for pattern in wanted:
        folded = fold and not pattern.cased and not _has_bytes(pattern)
        sql, literal = (text.folded, _folded) if folded else (text.sql, literals.string)
        match pattern.parts:
            case ():
                found.append(text.blank)
            case (Wild.MANY,):
                found.append(text.present)
            case (str(whole),):
                equal.setdefault(sql, []).append(literal(whole))
            case (Wild.MANY, str(part), Wild.MANY):
                within.setdefault(sql, []).append(literal(part))
            case (str(start), Wild.MANY):
                found.append(f"startsWith({sql}, {literal(start)})")
            case (Wild.MANY, str(end)):
                found.append(f"endsWith({sql}, {literal(end)})")
            case _:
                found.append(f"({sql} LIKE {literal(literals.like(pattern))})")
    found += [f"({sql} = {values[0]})" if len(values) == 1 else f"({sql} IN ({', '.join(values)}))" for sql, values in equal.items()]
    for sql, needles in within.items():
        found += [_contains(sql, needles[at : at + _MOST_NEEDLES]) for at in range(0, len(needles), _MOST_NEEDLES)]
    return any_of(found)


def _contains(sql: str, needles: Sequence[str]) -> str:
    return f"(position({sql}, {needles[0]}) > 0)" if len(needles) == 1 else f"multiSearchAny({sql}, [{', '.join(needles)}])"


def _has_case(pattern: Pattern) -> bool:
    """Nothing without letters needs folding."""
    text = "".join(part for part in pattern.parts if isinstance(part, str))
    return not pattern.cased and not (text.isascii() and text.lower() == text.upper())


def _has_bytes(pattern: Pattern) -> bool:
    """Bytes that are no text have no case."""
    return any("\udc80" <= character <= "\udcff" for part in pattern.parts if isinstance(part, str) for character in part)


def _folded(literal: str) -> str:
    return literals.string(literal.lower()) if literal.isascii() else f"lowerUTF8({literals.string(literal)})"


def _number(pattern: Pattern) -> str:
    text = str(pattern.parts[0])
    return text if _UNSIGNED.fullmatch(text) and int(text) < 1 << 64 else ""


def _address(pattern: Pattern) -> str:
    try:
        return literals.address(ip_address(str(pattern.parts[0]).strip()))
    except ValueError:
        return ""


def _among(field: Field, values: Sequence[str]) -> Predicate:
    if not values:
        return False
    sql = f"{field.sql} = {values[0]}" if len(values) == 1 else f"{field.sql} IN ({', '.join(values)})"
    return _certain(sql, field.nullable)


def _matches(text: Text, wanted: Regex) -> Predicate:
    """RE2 finds the pattern anywhere; the engine lets a dot match a line end unless told otherwise."""
    flags = wanted.flags if "s" in wanted.flags else wanted.flags + "-s"
    return all_of([text.present, f"match({text.sql}, {literals.string(f'(?{flags}){wanted.pattern}')})"])


def _text_test(field: Field, wanted: Test) -> Predicate:
    return _each(field, lambda text: _one_text(text, wanted))


def _one_text(text: Text, wanted: Test) -> Predicate:
    match wanted:
        case Boolean(value):
            return f"({text.folded} = '{str(value).lower()}')"
        case Regex():
            return _matches(text, wanted)
        case Compare(relation, value):
            return f"ifNull(toFloat64OrNull({text.sql}) {relation} {literals.number(value)}, 0)"
        case TimePart(part, value, relation):
            time = f"parseDateTime64BestEffortOrNull({text.sql}, 3, 'UTC')"
            in_relation = f"ifNull({_PART[part].format(time)} {relation} {literals.number(value)}, 0)"
            return all_of([f"(length({text.sql}) >= {_SHORTEST_DATE})", in_relation])
    raise AssertionError(f"a test of type {type(wanted).__name__} came where the compiler sends none")


def _number_test(field: Field, wanted: Test) -> Predicate:
    match wanted:
        case Compare(relation, value):
            return _certain(f"{field.sql} {relation} {literals.number(value)}", field.nullable)
        case Regex():
            return _matches(text_of(field), wanted)
    return False


def _address_test(field: Field, wanted: Test) -> Predicate:
    return _matches(text_of(field), wanted) if isinstance(wanted, Regex) else False


def _time_test(field: Field, wanted: Test) -> Predicate:
    match wanted:
        case TimePart(part, value, relation):
            return _certain(f"{_PART[part].format(field.sql)} {relation} {literals.number(value)}", field.nullable)
        case Regex():
            return _matches(text_of(field), wanted)
    return False


_TESTS: dict[FieldKind, Callable[[Field, Test], Predicate]] = {
    FieldKind.TEXT: _text_test,
    FieldKind.VALUES: _text_test,
    FieldKind.NUMBER: _number_test,
    FieldKind.ADDRESS: _address_test,
    FieldKind.TIME: _time_test,
}
