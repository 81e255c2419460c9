"""What a forwarder is told: the files of `deploy/forwarders` with this centre's own address and ports put in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import api

_INSTALLED: Final = Path(api.__file__).parent / "forwarders"
FOLDER: Final = _INSTALLED if _INSTALLED.is_dir() else Path(api.__file__).resolve().parents[1] / "deploy" / "forwarders"
"""Where the files stand: a wheel has them inside (`pyproject.toml`), a working copy beside."""

_NAME: Final = "bongsu.city.example"
_PORTS: Final = {"udp": "5514", "tcp": "5514", "tls": "6514"}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A forwarder and how it sends: `kind` is udp, tcp, tls or https; `file` stands below FOLDER."""

    name: str
    kind: str
    file: str


SNIPPETS: Final = (
    Snippet("rsyslog", "tls", "rsyslog/bongsu-tls.conf"),
    Snippet("rsyslog", "tcp", "rsyslog/bongsu-tcp.conf"),
    Snippet("rsyslog", "udp", "rsyslog/bongsu-udp.conf"),
    Snippet("syslog-ng", "tls", "syslog-ng/bongsu-tls.conf"),
    Snippet("syslog-ng", "tcp", "syslog-ng/bongsu-tcp.conf"),
    Snippet("syslog-ng", "udp", "syslog-ng/bongsu-udp.conf"),
    Snippet("Vector", "https", "vector/bongsu-https.yaml"),
    Snippet("Vector", "tcp", "vector/bongsu-tcp.yaml"),
    Snippet("Vector", "udp", "vector/bongsu-udp.yaml"),
    Snippet("FortiGate", "tls", "fortigate.cli"),
    Snippet("FortiGate", "udp", "fortigate-udp.cli"),
    Snippet("PAN-OS", "tls", "panos.cli"),
    Snippet("PAN-OS", "udp", "panos-udp.cli"),
)


def text_of(snippet: Snippet, host: str, origin: str, ports: dict[str, int]) -> str:
    """The file with the centre's name `host`, its web address `origin` and the ports of its listeners by kind."""
    text = (FOLDER / snippet.file).read_text("utf-8")
    text = text.replace(f"https://{_NAME}", origin).replace(_NAME, host)
    usual = _PORTS.get(snippet.kind)
    port = ports.get(snippet.kind)
    return text.replace(usual, str(port)) if usual and port else text


def settings_of(agency: str, source: str, address: str, certificate: str) -> str:
    """What the settings file of the centre needs so that the lines are known as this source's."""
    lines = ["agencies:", f"  - id: {agency}", "    sources:", f"      - name: {source}"]
    if address:
        lines.append(f'        addresses: ["{address}"]')
    if certificate:
        lines.append(f'        certificates: ["{certificate}"]')
    return "\n".join(lines) + "\n"


def key_command(agency: str, source: str) -> str:
    """The command that makes a key for pushing lines."""
    return f'bongsu keys create "{agency} {source}" --action logs:write --agency {agency} --source {source}'
