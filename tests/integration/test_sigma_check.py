"""`sigma check` of sigma-cli finds nothing wrong with a rule of ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from detect.rules import OWN_RULES

NEED_THE_INTERNET = ("attacktag", "d3_fendtag")


def test_sigma_check_finds_no_issue(tmp_path: Path) -> None:
    files = [path for path in OWN_RULES.rglob("*.yml") if not path.name.endswith(".samples.yml")]
    for path in files:
        shutil.copy(path, tmp_path / f"{path.parent.name}_{path.name}")
    without = [word for name in NEED_THE_INTERNET for word in ("--exclude", name)]
    sigma = Path(sys.executable).parent / "sigma"
    done = subprocess.run([sigma, "check", "--fail-on-issues", *without, tmp_path], capture_output=True, text=True, check=False)
    assert "0 errors, 0 condition errors and 0 issues" in done.stdout, done.stdout[-2000:] + done.stderr[-500:]
    assert done.returncode == 0
    assert len(files) >= 160
