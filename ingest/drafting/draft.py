"""Writes the YAML of a first draft."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from core.clock import Clock, millis
from core.engine import Session
from core.events import LogClass
from ingest.compile import LINES
from ingest.drafting import meaning
from ingest.drafting.shapes import SPACED, Place, Shape, shape_of
from ingest.drafting.texts import cases_of
from ingest.parser import Definition
from ingest.scope import Scope
from ingest.sql import quote
from ingest.statement import select

_LONGEST_EXAMPLE: Final = 48
_NOTHING_IN_COMMON: Final = "1 = 0 /* no word stands in every line: say what tells this product's lines from all others */"
_ORDER: Final = ("src_ip", "src_port", "dst_ip", "dst_port", "proto", "action", "disposition", "rule", "user", "url")


@dataclass(frozen=True, slots=True)
class Messages:
    """Lines without their syslog headers, and the program all of those headers name ('' when they do not)."""

    bodies: tuple[str, ...]
    program: str


def messages_of(session: Session, clock: Clock, lines: Sequence[str]) -> Messages:
    """What a parser is given of `lines` as `body` and `app`."""
    scope = Scope(Definition(Path(), "draft", 1, "", "", "1", "", {}))
    columns = {name: scope.expand(name) for name in ("body", "app")}
    rows = pa.table([pa.array(lines), pa.array([millis(clock.now())] * len(lines))], schema=LINES)
    found = session.arrow(select(scope.aliases, columns), rows, {"zone": "UTC"})
    programs = set(found["app"].to_pylist())
    return Messages(tuple(found["body"].to_pylist()), programs.pop() if len(programs) == 1 else "")


def draft(name: str, vendor: str, product: str, messages: Messages) -> str:
    """A parser file for lines like those of `messages`."""
    shape = shape_of(messages.bodies)
    columns = _columns(shape)
    cases = [cases_of(messages.bodies)] if shape.kind == "text" else []
    parts = [
        f"name: {name}\nversion: 1\nvendor: {_text(vendor)}\nproduct: {_text(product)}\ndocs: where the format is described",
        f"recognise: >\n  {_recognise(shape, messages.program)}",
        *([] if shape.text == "body" else [f"text: {_text(shape.text)}"]),
        *_punctuation(shape),
        f"# One word of: {' '.join(LogClass)}\nlog_class: {_text(_log_class(columns))}",
        f"event_time: {_event_time(shape)}",
        *_dispositions(columns),
        *cases,
        _section(columns, named_protocol="(?P<protocol>" in "".join(cases)),
        *_unused(shape, columns),
    ]
    return "\n\n".join(parts) + "\n"


def _recognise(shape: Shape, program: str) -> str:
    marks = [f" {program}", *shape.marks] if program else shape.marks
    return " AND ".join(f"position(head, {quote(mark)}) > 0" for mark in marks) or _NOTHING_IN_COMMON


def _punctuation(shape: Shape) -> list[str]:
    parts = []
    if any(place.expression.startswith("csv(") for place in shape.places) and shape.delimiter != ",":
        parts.append(f"delimiter: {_text(shape.delimiter)}")
    if shape.kind == "pairs" and shape.pairs != SPACED:
        words = (f"{name}: {_text(getattr(shape.pairs, name))}" for name in ("before", "equals", "after"))
        parts.append(f"pairs: {{{', '.join(words)}}}")
    return parts


def _columns(shape: Shape) -> dict[str, Place]:
    """The place each column is likely to come from, the first that fits."""
    found: dict[str, Place] = {}
    for place in shape.places:
        by_key = meaning.of_key(place.label)
        name = by_key if by_key and meaning.fits(by_key, place.values) else ""
        if not name and place.expression.startswith("csv("):
            name = meaning.of_values(place.values, found)
        if name and name != meaning.EVENT_TIME:
            found.setdefault(name, place)
    deciding = _deciding(shape, set(found.values()))
    return {"action": deciding, **found} if deciding else found


def _deciding(shape: Shape, used: Collection[Place]) -> Place | None:
    """The place whose values all say that something was let through or stopped, the one of most words."""
    told = [place for place in shape.places if place not in used and any(place.values)]
    decided = [place for place in told if all(map(meaning.disposition, filter(None, place.values)))]
    return max(decided, key=lambda place: len(set(place.values)), default=None)


def _section(columns: dict[str, Place], *, named_protocol: bool) -> str:
    expressions = {"device": ("host", "")}
    if named_protocol:
        expressions["proto"] = ("proto(group('protocol'))", "")
    for name, place in columns.items():
        wrapped = f"proto({place.expression})" if name == "proto" else place.expression
        expressions[name] = (wrapped, _example(place))
    if "action" in columns:
        expressions["disposition"] = ("lookup('disposition', action)", "")
    if "severity" in columns:
        expressions["severity_id"] = ("graded(severity)", "")
    order = sorted(expressions, key=lambda name: (name != "device", _ORDER.index(name) if name in _ORDER else len(_ORDER)))
    return "columns:\n" + "\n".join(f"  {name}: {expressions[name][0]}{expressions[name][1]}" for name in order)


def _example(place: Place) -> str:
    value = next((value for value in place.values if value), "")
    return f"  # {place.label}: {_shortened(value)}" if value else f"  # {place.label}"


def _shortened(value: str) -> str:
    plain = re.sub(r"\s+", " ", value)
    return plain if len(plain) <= _LONGEST_EXAMPLE else plain[:_LONGEST_EXAMPLE] + "..."


def _unused(shape: Shape, columns: dict[str, Place]) -> list[str]:
    used = set(columns.values())
    left = [place for place in shape.places if place not in used and any(place.values)]
    if not left:
        return []
    return ["# Not used:\n" + "\n".join(f"# {place.expression}{_example(place)}" for place in left)]


def _event_time(shape: Shape) -> str:
    dated = [place for place in shape.places if all(map(meaning.is_stamp, filter(None, place.values))) and any(place.values)]
    if dated:
        way = "epoch" if all(map(meaning.is_epoch, filter(None, dated[0].values))) else "stamp"
        return f"coalesce({way}({dated[0].expression}), header_time){_example(dated[0])}"
    labels = {place.label.lower(): place for place in shape.places}
    if "date" in labels and "time" in labels:
        return f"coalesce(stamp(concat({labels['date'].expression}, ' ', {labels['time'].expression})), header_time)"
    return "header_time"


def _log_class(columns: dict[str, Place]) -> str:
    if {"sig_id", "sig_name"} & set(columns):
        return "'ips'"
    if {"url", "http_method"} & set(columns):
        return "'proxy'"
    if "dns_query" in columns:
        return "'dns'"
    return "'auth'" if "user" in columns and "dst_ip" not in columns else "'firewall'"


def _dispositions(columns: dict[str, Place]) -> list[str]:
    if "action" not in columns:
        return []
    words = dict.fromkeys(value.lower() for value in columns["action"].values if value)
    rows = [f"    {_text(word)}: {meaning.disposition(word) or 'alert  # allow, deny or alert?'}" for word in words]
    return ["maps:\n  disposition:\n" + "\n".join(rows)]


def _text(value: str) -> str:
    """A YAML scalar of `value`, quoted where it could be read as something else."""
    if re.fullmatch(r"[A-Za-z가-힣][\w가-힣 .-]*", value) and value.lower() not in ("yes", "no", "on", "off", "true", "false", "null"):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
