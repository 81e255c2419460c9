"""`bongsu audit` on an installation of its own: what an auditor runs and reads."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import yaml

from tests.e2e.test_cli import bongsu


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """The settings file of an installation with a user, hence with rows in its trail."""
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data")}), encoding="utf-8")
    for name in ("kim", "lee"):
        made = bongsu("users", "set", name, "--role", "analyst", "-c", str(file), BONGSU_PASSWORD="a-long-password-for-tests")
        assert made.returncode == 0, made.stderr
    return file


def test_verify_export_and_tampering(installation: Path, tmp_path: Path) -> None:
    config, export = ("-c", str(installation)), tmp_path / "trail.jsonl"
    whole = bongsu("audit", "verify", *config)
    assert (whole.returncode, "database: whole: 2 rows" in whole.stdout) == (0, True), whole.stderr
    assert bongsu("audit", "export", str(export), *config).returncode == 0
    key = json.loads(bongsu("audit", "key", "--json", *config).stdout)
    checked = bongsu("audit", "verify", str(export), "--key", key["key"], "--json")
    told = json.loads(checked.stdout)["files"]
    assert (told["entries"], told["signed_until"], told["keys"], told["problem"]) == (2, 2, [key["id"]], "")

    export.write_text(export.read_text().replace("user/kim", "user/bad"))
    forged = bongsu("audit", "verify", str(export))
    assert (forged.returncode, "BROKEN: row 1 was changed" in forged.stdout) == (1, True)

    database = sqlite3.connect(tmp_path / "data" / "bongsu.db")
    database.execute("DELETE FROM audit WHERE seq = 2")
    database.commit()
    database.close()
    cut = bongsu("audit", "verify", *config)
    assert (cut.returncode, "row 2 and those up to 2, which were signed, are missing" in cut.stdout) == (1, True)


def test_a_key_of_another_is_said_so(installation: Path, tmp_path: Path) -> None:
    export = tmp_path / "trail.jsonl"
    bongsu("audit", "export", str(export), "-c", str(installation))
    other = json.loads(bongsu("audit", "key", "--json", BONGSU_DATA_DIR=str(tmp_path / "other")).stdout)["key"]
    told = bongsu("audit", "verify", str(export), "--key", other)
    assert (told.returncode, "is not of the key" in told.stdout) == (1, True)
    nonsense = bongsu("audit", "verify", str(export), "--key", "abc")
    assert (nonsense.returncode, "32 bytes in base64" in nonsense.stderr) == (1, True)
