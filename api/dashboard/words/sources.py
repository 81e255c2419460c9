"""Sources of logs and how their lines come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "source_state": {
        "live": "Live",
        "late": "Late",
        "silent": "Silent",
        "never": "Never heard",
    },
    "baseline_state": {
        "learning": "Learning",
        "heard": "Heard",
        "quiet": "Quiet, as usual",
        "silent": "Silent",
    },
    "quarantine": {
        "no_parser": "No parser knows this format.",
        "malformed": "A parser knows the format, but the line is broken.",
        "parser_failed": "The engine failed while it read the line.",
        "blank": "Only empty lines came.",
        "bad_message": "The message on the bus is not what its headers say.",
    },
    "quarantine_advice": {
        "no_parser": "Compare the line with the format its forwarder was told to send. If the device can write no other, "
        "a parser is missing: keep some lines as a file and begin one with `bongsu parsers new`.",
        "malformed": "See whether the line was cut or changed on the way: a length limit of the relay, a template that adds or "
        "removes text. `bongsu parse` tells what is made of a line in a file.",
        "parser_failed": "Nothing is wrong with your settings. Send the line to whoever runs the centre; other lines go on.",
        "blank": "The connection works. Let the device write a line, or see whether the forwarder's template leaves the text out.",
        "bad_message": "See how the producer encodes its messages; docs/intake.md tells the form.",
    },
    "source_transport": {
        "udp": "UDP",
        "tcp": "TCP",
        "tls": "TLS",
        "https": "HTTPS",
    },
}
