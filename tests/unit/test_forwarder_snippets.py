"""What the wizard gives a forwarder: the shipped files, with the centre's own name, address and ports in them."""

from __future__ import annotations

import re

import pytest

from api.dashboard.sources import snippets
from api.dashboard.sources.snippets import SNIPPETS, Snippet

PORTS = {"udp": 30514, "tcp": 30515, "tls": 30516}
NAMES = [f"{one.name}-{one.kind}" for one in SNIPPETS]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=NAMES)
def test_a_snippet_sends_to_this_centre(snippet: Snippet) -> None:
    text = snippets.text_of(snippet, "centre.test", "https://centre.test:8514", PORTS)
    assert "bongsu.city.example" not in text
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if snippet.kind == "https":
        assert "https://centre.test:8514/v1/logs" in code
    else:
        assert "centre.test" in code
        assert set(re.findall(r"\b(?:305\d\d|5514|6514)\b", code)) == {str(PORTS[snippet.kind])}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=NAMES)
def test_without_a_listener_of_its_kind_the_usual_port_stays(snippet: Snippet) -> None:
    text = snippets.text_of(snippet, "centre.test", "https://centre.test", {})
    usual = {"udp": "5514", "tcp": "5514", "tls": "6514"}.get(snippet.kind, "/v1/logs")
    assert usual in text


def test_every_sender_of_syslog_is_offered_over_udp() -> None:
    assert {one.name for one in SNIPPETS if one.kind == "udp"} == {"rsyslog", "syslog-ng", "Vector", "FortiGate", "PAN-OS"}
