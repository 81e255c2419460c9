"""The stylesheets of the dashboard: all of them are loaded on every page."""

from __future__ import annotations

import re
from collections import defaultdict

from api.dashboard.beacons import STATIC
from api.dashboard.frame import STYLES

RULE = re.compile(r"([^{}]+)\{")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
ONE_CLASS = re.compile(r"\.[\w-]+")


def test_a_class_is_laid_out_in_one_stylesheet() -> None:
    """Two pages that give a class of the same name a look of its own would spoil each other's; what several have is in the common one."""
    found = defaultdict(set)
    common, *pages = STYLES
    assert common == "bongsu.css"
    for file in pages:
        on_screen, _, _ = COMMENT.sub("", (STATIC / file).read_text("utf-8")).partition("@media print")
        for selectors in RULE.findall(on_screen):
            for selector in map(str.strip, selectors.split(",")):
                if ONE_CLASS.fullmatch(selector):
                    found[selector].add(file)
    assert len(found) > 60
    assert {selector: files for selector, files in found.items() if len(files) > 1} == {}
