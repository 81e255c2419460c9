"""The map from the law to the system: no paragraph is missing, and everything it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from nicegui import Client

from api.app import create_app
from api.compliance import law, law_map
from api.compliance.facts import FACTS
from api.compliance.law import Row
from api.dashboard import host
from core.config import Settings
from core.permissions import Role, grants_of_roles
from respond.duties.machine import Kind
from respond.personal.packs import Track
from respond.requests.machine import Article

ROOT = Path(__file__).resolve().parents[2]
HANGUL = re.compile(r"[가-힣]")

# Every paragraph and item of the articles, written out from the texts by hand.
PARAGRAPHS = """
CO 12
CO 14(4)1 CO 14(4)2 CO 14(4)3 CO 14(4)4 CO 14(4)5
CO 15(1)1 CO 15(1)2 CO 15(1)3 CO 15(1)4 CO 15(2) CO 15(3)
CO 17(1) CO 17(2)1 CO 17(2)2 CO 17(2)3 CO 17(2)4 CO 17(2)5 CO 17(3) CO 17(4)
CO 18(1) CO 18(2)
CO 19(1) CO 19(2) CO 19(3) CO 19(4)
CO 20(1) CO 20(2) CO 20(3)
CO 21(1) CO 21(2) CO 21(3) CO 21(4) CO 21(5)
CO 22(1)1 CO 22(1)2 CO 22(1)3 CO 22(1)4 CO 22(2)
CO 23.1 CO 23.2 CO 23.3 CO 23.4
CO 25(1) CO 25(2) CO 25(3)
PIO 7(1)1 PIO 7(1)2 PIO 7(1)3 PIO 7(1)4 PIO 7(1)5 PIO 7(2) PIO 7(3)
DEC 30(1)1 DEC 30(1)2 DEC 30(1)3 DEC 30(1)4 DEC 30(1)5 DEC 30(1)6 DEC 30(2) DEC 30(3)
DEC 39(1) DEC 39(2)
DEC 40(1) DEC 40(2) DEC 40(3)
DEC 48-2(1)1(a) DEC 48-2(1)1(b) DEC 48-2(1)1(c)
DEC 48-2(1)2(a) DEC 48-2(1)2(b) DEC 48-2(1)2(c) DEC 48-2(1)2(d) DEC 48-2(1)2(e)
DEC 48-2(1)3(a) DEC 48-2(1)3(b)
DEC 48-2(1)4(a) DEC 48-2(1)4(b) DEC 48-2(1)4(c) DEC 48-2(1)4(d)
DEC 48-2(1)5 DEC 48-2(1)6 DEC 48-2(2) DEC 48-2(3)
DEC 48-4(1) DEC 48-4(2) DEC 48-4(3) DEC 48-4(4) DEC 48-4(5) DEC 48-4(6)
CCTV 4(6) CCTV 4(7)
DSO 10
"""
ROWS = [row for act in law.load().acts for row in act.rows]
EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


@cache
def functions_of(file: str) -> frozenset[str]:
    """The functions of a test file, as pytest would collect them."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) if node.name.startswith("test_")
    )


@cache
def routes() -> frozenset[str]:
    """Every route of the API, as the map writes it."""
    centre = SimpleNamespace(database=None, store=None, settings=Settings())
    paths = create_app(centre).openapi()["paths"]  # type: ignore[arg-type]
    return frozenset(f"{method.upper()} {path}" for path, known in paths.items() for method in known)


def test_every_paragraph_has_its_row_in_the_order_of_the_law() -> None:
    assert [row.id for row in ROWS] == re.findall(r"[A-Z]+ \S+", PARAGRAPHS)


def test_the_page_is_what_the_command_makes() -> None:
    assert (ROOT / "docs" / "law-map.md").read_text(encoding="utf-8") == law_map.render()


@EACH
def test_every_test_named_is_there(row: Row) -> None:
    for name in row.tests:
        file, _, function = name.partition("::")
        assert file.startswith("tests/")
        assert function in functions_of(file), name


@EACH
def test_every_route_named_is_there(row: Row) -> None:
    assert set(row.routes) <= routes()


def test_every_screen_named_is_there() -> None:
    host._pages()
    assert {screen for row in ROWS for screen in row.screens} <= set(Client.page_routes.values())


@EACH
def test_every_fact_named_can_be_made(row: Row) -> None:
    words = {"requests": Article, "duties": Kind, "tracks": Track}
    arguments = {"drills": {"", "joint"}} | {name: {str(one) for one in kinds} for name, kinds in words.items()}
    for name in row.facts:
        word, _, argument = name.partition(" ")
        assert word in FACTS
        assert argument in arguments.get(word, {""}), name


def test_no_fact_is_left_over() -> None:
    assert {name.split(" ")[0] for row in ROWS for name in row.facts} == FACTS.keys()


def test_the_soc_lead_sees_some_evidence_of_every_paragraph() -> None:
    granted = grants_of_roles([Role.SOC_LEAD])
    for row in ROWS:
        assert row.outside or any(set(FACTS[name.split(" ")[0]].actions) & granted.keys() for name in row.facts), row.id


@EACH
def test_every_row_speaks_both_languages(row: Row) -> None:
    texts = [row, *([row.outside] if row.outside else [])]
    for text in texts:
        assert HANGUL.search(text.ko)
        assert not HANGUL.search(text.en)


def test_a_number_is_never_told_as_the_ordinances_own() -> None:
    of_ordinance = [row for row in ROWS if row.id.startswith("CO ")]
    assert not [row.id for row in of_ordinance if re.search(r"\d+ ?(hours|days|시간|일 )", row.en + row.ko)]
