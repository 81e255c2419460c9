"""Severity from the level of the rule and the importance of the asset, by a matrix in configuration.

The matrix is `severity.yaml` beside this module, or the city's own (`respond.incidents.severity_matrix`): a mapping from each level to a
mapping from each importance to a level. The asset is the graver of an event's two systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from core.errors import FileError
from respond.grouping import LEVELS, SEVERITY, UNRATED

IMPORTANCES: Final = ("unknown", "low", "medium", "high", "critical")
_DEFAULT: Final = Path(__file__).with_name("severity.yaml")


@dataclass(frozen=True, slots=True)
class Matrix:
    """`cells[place of the level][place of the importance]` is the place of the severity, all in their lists above."""

    cells: tuple[tuple[int, ...], ...]

    def of(self, level: str, *importances: str) -> str:
        """The severity of a finding whose systems have these importances ('': unknown)."""
        row = LEVELS.index(level if level in LEVELS else UNRATED)
        column = max((IMPORTANCES.index(one) for one in importances if one in IMPORTANCES), default=0)
        return LEVELS[self.cells[row][column]]

    def rated(self, findings: pa.Table) -> pa.Table:
        """`findings` (rows of DETECTIONS) with their severity as the column `SEVERITY`."""
        level = _places(findings["rule_level"], LEVELS, LEVELS.index(UNRATED))
        importance = np.maximum(_places(findings["src_importance"], IMPORTANCES, 0), _places(findings["dst_importance"], IMPORTANCES, 0))
        places = np.asarray(self.cells, np.int64)[level, importance]
        return findings.append_column(SEVERITY, pa.array(LEVELS).take(pa.array(places)))


def _places(column: pa.ChunkedArray, words: tuple[str, ...], unknown: int) -> Any:
    return pc.fill_null(pc.index_in(column, value_set=pa.array(words)), unknown).to_numpy().astype(np.int64)


@lru_cache(maxsize=8)
def load(file: Path | None = None) -> Matrix:
    """The matrix of `file`, or ours. FileError when it cannot be read, lacks a cell, or has a word that is no level."""
    path = file or _DEFAULT
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError(path, f"is not YAML: {error}") from error
    return Matrix(tuple(tuple(_cell(path, tree, level, importance) for importance in IMPORTANCES) for level in LEVELS))


def _cell(path: Path, tree: Any, level: str, importance: str) -> int:
    row = tree.get(level) if isinstance(tree, Mapping) else None
    word = row.get(importance) if isinstance(row, Mapping) else None
    if word not in LEVELS:
        raise FileError(path, f"{level} x {importance} must be one of {', '.join(LEVELS)}")
    return LEVELS.index(word)
