"""How a product's lines are written: JSON, key=value, one character between the fields, or free text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ingest.drafting.meaning import is_address, is_stamp
from ingest.parser import Pairs
from ingest.sql import quote

_KEY: Final = re.compile(r"(?:^|[\s,;|])([A-Za-z][A-Za-z0-9_.\-]{0,40})(=|:)(?=\"|\S|$)")
_DELIMITERS: Final = ("|", "\t", ",", ";", "`")
_LEAST_PAIRS: Final = 3
_LEAST_FIELDS: Final = 5
_MOST_DEPTH: Final = 3

SPACED: Final = Pairs()

Kind = Literal["json", "pairs", "delimited", "text"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: `label` for people, `expression` for the YAML, and what each line has there ('' for nothing)."""

    label: str
    expression: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """How the lines are written. `marks` are literals that stand in every line and so tell the product's lines from others'."""

    kind: Kind
    places: tuple[Place, ...]
    marks: tuple[str, ...]
    pairs: Pairs = SPACED
    delimiter: str = ","
    text: str = "body"


def shape_of(bodies: Sequence[str]) -> Shape:
    """The shape of messages without their syslog headers."""
    return _json(bodies) or _pairs(bodies) or _delimited(bodies) or Shape("text", (), _common_words(bodies))


def _json(bodies: Sequence[str]) -> Shape | None:
    documents = [_document(body) for body in bodies]
    if not all(isinstance(document, dict) for document in documents):
        return None
    flat = [dict(_leaves(document)) for document in documents]
    paths = list(dict.fromkeys(path for leaves in flat for path in leaves))
    paths = [path for path in paths if not any(other.startswith(f"{path}.") for other in paths)]
    places = tuple(Place(path, f"json({quote(path)})", tuple(leaves.get(path, "") for leaves in flat)) for path in paths)
    common = [key for key in documents[0] if all(key in document for document in documents)]
    text = "body" if all(body.startswith("{") for body in bodies) else "substring(body, position(body, '{'))"
    return Shape("json", places, tuple(f'"{key}"' for key in _longest(common)), text=text)


def _document(body: str) -> Any:
    try:
        return json.loads(body[max(body.find("{"), 0) :])
    except ValueError:
        return None


def _leaves(tree: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if "." in key:
            continue  # a dot parts the names of a path
        if isinstance(value, dict) and depth < _MOST_DEPTH:
            yield from _leaves(value, f"{before}{key}.", depth + 1)
        elif not isinstance(value, dict | list):
            yield f"{before}{key}", "" if value is None else str(value)


def _pairs(bodies: Sequence[str]) -> Shape | None:
    found = [_KEY.findall(body) for body in bodies]
    equals = Counter(sign for pairs in found for _, sign in pairs).most_common(1)
    if not equals or min(sum(sign == equals[0][0] for _, sign in pairs) for pairs in found) < _LEAST_PAIRS:
        return None
    sign = equals[0][0]
    keys = list(dict.fromkeys(key for pairs in found for key, one in pairs if one == sign))
    pairs = Pairs(before := _before(bodies, keys, sign), sign, before)
    spaced = before == " " and any(_runs_over_spaces(body, keys, sign) for body in bodies)
    macro = "spaced" if spaced else "kv"
    places = tuple(Place(key, f"{macro}({quote(key)})", tuple(_value(body, key, sign, before, keys) for body in bodies)) for key in keys)
    if before in _DELIMITERS:
        places = (*_before_the_pairs(bodies, before, sign), *places)
    common = [key for key in keys if all(f"{key}{sign}" in body for body in bodies)]
    return Shape("pairs", places, tuple(f"{key}{sign}" for key in _longest(common)), pairs=pairs, delimiter=before)


def _before_the_pairs(bodies: Sequence[str], delimiter: str, sign: str) -> tuple[Place, ...]:
    """The fields that stand in every line before the first key."""
    rows = [body.split(delimiter) for body in bodies]
    count = min(next((place for place, field in enumerate(row) if sign in field and not is_stamp(field)), len(row)) for row in rows)
    return tuple(Place(f"field {number + 1}", f"csv({number + 1})", tuple(row[number] for row in rows)) for number in range(count))


def _before(bodies: Sequence[str], keys: Sequence[str], sign: str) -> str:
    """The character most keys stand behind."""
    counts: Counter[str] = Counter()
    for body in bodies:
        for key in keys:
            at = body.find(f"{key}{sign}")
            if at > 0:
                counts[body[at - 1]] += 1
    return next((character for character, _ in counts.most_common() if not character.isalnum()), " ")


def _runs_over_spaces(body: str, keys: Sequence[str], sign: str) -> bool:
    """Whether some bare value holds a space: a word that is neither a value nor a key's."""
    bare = re.sub(r'"[^"]*"', "", body)
    words = bare.split()
    first = next((number for number, word in enumerate(words) if sign in word), 0)
    return any(sign not in word for word in words[first + 1 :]) and bool(keys)


def _value(body: str, key: str, sign: str, before: str, keys: Sequence[str]) -> str:
    start = f"{before}{body}".find(f"{before}{key}{sign}")
    if start < 0:
        return ""
    rest = body[start + len(key) + len(sign) :]
    if rest.startswith('"'):
        return rest[1:].partition('"')[0]
    ends = [at for other in keys if (at := rest.find(f"{before}{other}{sign}")) >= 0]
    return rest[: min(ends, default=len(rest))].strip()


def _delimited(bodies: Sequence[str]) -> Shape | None:
    best = max(_DELIMITERS, key=lambda mark: min(body.count(mark) for body in bodies))
    fewest = min(body.count(best) for body in bodies)
    if fewest + 1 < _LEAST_FIELDS or sum(body.count(f"{best} ") for body in bodies) * 2 > sum(body.count(best) for body in bodies):
        return None  # what is followed by a space is a comma between words
    rows = [body.split(best) for body in bodies]
    width = max(map(len, rows))
    columns = [tuple(row[number].strip('" ') if number < len(row) else "" for row in rows) for number in range(width)]
    places = tuple(Place(f"field {number}", f"csv({number})", values) for number, values in enumerate(columns, 1))
    constant = [values[0] for values in columns if len(set(values)) == 1 and values[0][:1].isalpha() and not is_address(values[0])]
    return Shape("delimited", places, tuple(_longest(constant)), delimiter=best)


def _common_words(bodies: Sequence[str]) -> tuple[str, ...]:
    words = [word for word in bodies[0].split() if not any(map(str.isdigit, word)) and all(word in body.split() for body in bodies)]
    return tuple(_longest(dict.fromkeys(words)))


def _longest(words: Any) -> list[str]:
    """The three longest: what is long is rarely another product's."""
    return sorted(words, key=lambda word: (-len(word), word))[:3]
