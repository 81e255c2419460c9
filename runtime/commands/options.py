"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="BONGSU_CONFIG", help="Settings file (YAML). BONGSU_... variables go over it.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for machines.")]
