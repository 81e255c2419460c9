"""Brings the gettext catalogues up to date with the sources: `python -m api.dashboard.catalogue`.

Messages are the literals given to `t(...)` and `t.n(...)` in the dashboard's modules, and the stored words with their kind as context.
A second catalogue has the templates of what the API refuses (`refusal_sources`).
What is new comes in untranslated, what nobody uses goes, and the order is that of the alphabet, so that changes are easy to read and merge.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from api.dashboard.refusal_sources import templates
from api.dashboard.refusals import DOMAIN
from api.dashboard.texts import LOCALE
from api.dashboard.words import WORDS

SOURCES: Final = Path(__file__).parent
_NO_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Catalogues bear no day of making: the same sources make the same file."""


class Message(NamedTuple):
    """A message of the sources: its text, or its two forms, and its context or ''."""

    text: str | tuple[str, str]
    context: str = ""


def messages() -> set[Message]:
    """Every message of the sources. ValueError, with file and line, for a call whose message is no literal."""
    found = {message for file in sorted(SOURCES.rglob("*.py")) for message in _of_file(file)}
    return found | {Message(english, kind) for kind, words in WORDS.items() for english in words.values()}


def refusals() -> set[Message]:
    """Every template of what the API refuses."""
    return {Message(template) for template in templates()}


def brought_up_to_date(before: Catalog, wanted: Iterable[Message]) -> Catalog:
    """The catalogue with the `wanted` messages, each with the translation it had."""
    after = Catalog(before.locale, project="Bongsu", fuzzy=False, header_comment="", creation_date=_NO_DAY, revision_date=_NO_DAY)
    for one in sorted(wanted, key=_place):
        had = before.get(one.text if isinstance(one.text, str) else one.text[0], one.context or None)
        blank = "" if isinstance(one.text, str) else ("",) * after.num_plurals
        after.add(one.text, had.string if had else blank, context=one.context or None)
    return after


def _place(message: Message) -> tuple[str, str, str]:
    text = message.text if isinstance(message.text, str) else message.text[0]
    return text.casefold(), text, message.context


def _of_file(file: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).split(".")
        if name[-1] == "t":
            yield Message(_literal(file, node, 0))
        elif name[-2:] == ["t", "n"]:
            yield Message((_literal(file, node, 0), _literal(file, node, 1)))


def _literal(file: Path, call: ast.Call, place: int) -> str:
    match call.args[place]:
        case ast.Constant(value=str(text)):
            return text
        case _:
            raise ValueError(f"{file.name}:{call.lineno}: the message of t(...) must be a literal, so that catalogues know of it")


def main() -> None:
    """Bring every catalogue up to date."""
    for domain, wanted in (("bongsu", messages()), (DOMAIN, refusals())):
        for file in sorted(LOCALE.glob(f"*/LC_MESSAGES/{domain}.po")):
            with file.open("rb") as source:
                after = brought_up_to_date(read_po(source, locale=file.parts[-3]), wanted)
            with file.open("wb") as target:
                write_po(target, after, width=0, omit_header=False, no_location=True)


if __name__ == "__main__":
    main()
