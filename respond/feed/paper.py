"""An issue of the feed as a PDF, set by typst from `paper.typ` with the font of a package: the same on every machine.

What agencies write goes into the page as strings and is never read as typst's markup. One paper is set at a time: setting is quick, and
memory stays bounded whoever asks.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pylopdf_fonts_ko
import typst

from respond.cases.canonical import canonical, sha256
from respond.feed.wording import WORDS, Words, agency_name, clock_time, how_late

_TEMPLATE: Final = Path(__file__).with_name("paper.typ").read_bytes()
_TIMES: Final = frozenset({"occurred_at", "learned_at", "submitted_at", "received_at"})
_one_at_a_time: Final = threading.Lock()


def render(document: Mapping[str, Any], language: str) -> bytes:
    """The PDF (1.7, tagged) of an issue's document."""
    return typeset(_laid_out(document, language), document["issued_at"])


def typeset(laid_out: Mapping[str, Any], at: str) -> bytes:
    """The PDF of what the template shows (see `_laid_out`), dated `at` (ISO 8601); the same gives the same bytes."""
    data = json.dumps(laid_out, ensure_ascii=False)
    with _one_at_a_time:
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[pylopdf_fonts_ko.sans_path().parent])
        compiler = typst.Compiler(_TEMPLATE, font_paths=fonts, sys_inputs={"data": data})
        made = compiler.compile(format="pdf", timestamp=datetime.fromisoformat(at).replace(microsecond=0))
    if not isinstance(made, bytes):
        raise TypeError("typst gave several files for one PDF")
    return made


def _laid_out(document: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What the template shows, every value a text."""
    words, items = WORDS[language], document["items"]
    since, until = clock_time(document["since"]), clock_time(document["until"])
    facts = [
        (words.period, f"{document['period']}  ({since} – {until})"),
        (words.issued, clock_time(document["issued_at"])),
    ]
    return {
        "language": language,
        "title": words.title,
        "subtitle": words.subtitle,
        "facts": facts,
        "count": words.count.format(items=len(items), reports=len({item["report"] for item in items})) if items else words.none,
        "columns": words.columns,
        "rows": [_row(document, item, language) for item in items],
        "sections": [_section(document, item, words, language) for item in items],
        "fixed": words.fixed,
        "hash": f"{words.fingerprint}: {sha256(canonical(document))}",
    }


def _row(document: Mapping[str, Any], item: Mapping[str, Any], language: str) -> list[str]:
    return [
        f"{item['report']} ({item['version']})",
        item["receipt"],
        agency_name(document, item["agency"], language),
        item["system"],
        clock_time(item["learned_at"]).removesuffix(" KST"),
        clock_time(item["submitted_at"]).removesuffix(" KST"),
    ]


def _section(document: Mapping[str, Any], item: Mapping[str, Any], words: Words, language: str) -> dict[str, Any]:
    notes = []
    if before := item["restates"]:
        notes.append(words.restates.format(version=before["version"], at=clock_time(before["published_at"])))
    if item["late_seconds"]:
        notes.append(words.late.format(after=how_late(item["late_seconds"], language), reason=item["late_reason"]))
    return {
        "title": item["report"],
        "kind": words.version.format(version=item["version"], kind=words.values[item["kind"]]),
        "published": words.published.format(at=clock_time(item["published_at"])),
        "notes": notes,
        "rows": [(label, _value(document, item, name, words, language)) for name, label in words.fields.items()],
    }


def _value(document: Mapping[str, Any], item: Mapping[str, Any], name: str, words: Words, language: str) -> str:
    if name == "agency":
        return agency_name(document, item["agency"], language)
    if name in _TIMES:
        return clock_time(item[name])
    if name in ("type", "personal_data"):
        return words.values[item[name]]
    return item[name] or "-"
