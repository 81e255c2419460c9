"""Our rules find the attackers of recorded attacks in logs of our classes; docs/detection-coverage.md says which and which not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import crowdsec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "detection-coverage.md"
NOT_FOUND = {"dovecot-spam": 3, "pureftpd-bf": 1}
"""Attackers of lines that the parser linux reads no address from."""


@pytest.fixture(scope="module")
def found(samples: Path) -> list[crowdsec.Found]:
    assert crowdsec.FOLDER.is_relative_to(samples)
    with crowdsec.judge() as judging:
        return judging.folders(crowdsec.all_folders())


def test_attackers_in_logs_of_our_classes_are_found(found: list[crowdsec.Found]) -> None:
    ours = [one for one in found if one.ours]
    missed = {one.name: len(one.missed) for one in ours if one.missed}
    assert (len(ours) >= 100, sum(len(one.attackers) for one in ours) >= 170) == (True, True)
    assert missed.items() <= NOT_FOUND.items()


def test_logs_without_an_attack_raise_no_alarm(found: list[crowdsec.Found]) -> None:
    """Sign-ins that worked, and requests of people who read."""
    quiet = {"sshd-success-logs", "actual-budget-whitelist", "calibre-web-whitelist", "cri-logs"}
    assert {title for one in found if one.name in quiet for titles in one.by.values() for title in titles} == set()


def test_the_page_is_of_these_rules(found: list[crowdsec.Found]) -> None:
    assert PAGE.read_text("utf-8") == "\n".join(crowdsec.page(found)) + "\n"
