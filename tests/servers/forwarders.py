"""Real forwarders for tests: rsyslog and syslog-ng, run from the files in deploy/forwarders/ with a test's values put in."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.servers.certificates import Pair

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "deploy" / "forwarders"
UNPACKED = ROOT / ".cache" / "debian"  # by tests/provision.sh
_SYSLOG_NG = UNPACKED / "usr" / "sbin" / "syslog-ng"
_READY_SECONDS = 20.0
_TAKEN_SECONDS = 20.0

Program = Literal["rsyslog", "syslog-ng"]


@dataclass(frozen=True)
class Tls:
    """What a forwarder needs for TLS: who signed the centre's certificate, and its own."""

    authority: Path
    own: Pair


@dataclass(frozen=True)
class Example:
    """A shipped example with its values put in. `accepts` is the port devices send to, `target` and `port` the centre."""

    program: Program
    target: str
    port: int
    accepts: int
    work: Path
    tls: Tls | None = None
    framing: Literal["octet-counted", "traditional"] = "octet-counted"
    datagrams: bool = False

    def text(self) -> str:
        """The configuration; an AssertionError when the example no longer holds a line that is replaced here."""
        transport = "udp" if self.datagrams else "tls" if self.tls else "tcp"
        shipped = (EXAMPLES / self.program / f"bongsu-{transport}.conf").read_text(encoding="utf-8")
        rsyslog = self.program == "rsyslog"
        return put_in(shipped, (self._rsyslog() if rsyslog else self._syslog_ng()) | self._certificates())

    def _rsyslog(self) -> dict[str, str]:
        return {
            'target="bongsu.city.example"': f'target="{self.target}"',
            f'port="{6514 if self.tls else 5514}"': f'port="{self.port}"',
            'port="514"': f'port="{self.accepts}"',
            "global(\n    maxMessageSize": f'global(\n    workDirectory="{self.work}"\n    maxMessageSize',
        } | (
            {}
            if self.datagrams
            else {
                'TCP_Framing="octet-counted"': f'TCP_Framing="{self.framing}"',
                'action.resumeInterval="5"': 'action.resumeInterval="1"',
            }
        )

    def _syslog_ng(self) -> dict[str, str]:
        return {
            '"bongsu.city.example"': f'"{self.target}"',
            f"port({6514 if self.tls else 5514})": f"port({self.port})",
            "port(514)": f"port({self.accepts})",
        } | (
            {}
            if self.datagrams
            else {
                "time-reopen(5)": "time-reopen(1)",
                "disk-buf-size(8589934592)": "disk-buf-size(268435456)",
                'dir("/var/lib/syslog-ng")': f'dir("{self.work}")',
            }
        )

    def _certificates(self) -> dict[str, str]:
        if self.tls is None:
            return {}
        return {
            "/etc/bongsu-forwarder/ca.pem": str(self.tls.authority),
            "/etc/bongsu-forwarder/client.pem": str(self.tls.own.certificate),
            "/etc/bongsu-forwarder/client.key": str(self.tls.own.key),
        }

    def command(self, *, check: bool = False) -> list[str]:
        """Write the configuration; the command that runs it in the foreground, or with `check` only reads it."""
        self.work.mkdir(parents=True, exist_ok=True)
        file = self.work / "forwarder.conf"
        text = self.text()
        if self.program == "syslog-ng":
            file.write_text(text, encoding="utf-8")
            paths = [f"--persist-file={self.work / 'persist'}", f"--control={self.work / 'control'}", f"--pidfile={self.work / 'pid'}"]
            mode = ["--syntax-only"] if check else ["--foreground", "--stderr", "--no-caps"]
            return [str(_SYSLOG_NG), f"--module-path={_modules()}", f"--cfgfile={file}", *paths, *mode]
        # What rsyslog says of itself goes to its main queue; a file of it shows why a test failed.
        file.write_text(f'{text}\naction(type="omfile" file="{self.log}")\n', encoding="utf-8")
        return ["rsyslogd", *(["-N1"] if check else ["-n"]), "-f", str(file), "-i", str(self.work / "pid")]

    @property
    def log(self) -> Path:
        """What the forwarder says of itself."""
        return self.work / "forwarder.log"


def put_in(text: str, values: Mapping[str, str]) -> str:
    """`text` with each key replaced by its value wherever it stands; every key must be there."""
    for old, new in values.items():
        assert old in text, f"the example no longer holds {old!r}"
        text = text.replace(old, new)
    return text


def environment() -> dict[str, str]:
    """The environment the unpacked syslog-ng finds its libraries in."""
    return os.environ | {"LD_LIBRARY_PATH": str(UNPACKED / "usr" / "lib" / "syslog-ng")}


def skip_without(program: str) -> None:
    """Skip the test when the program is not there."""
    if program == "syslog-ng":
        there = _SYSLOG_NG.exists()
    elif program == "rsyslog":
        there = bool(shutil.which("rsyslogd")) and Path("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so").exists()
    else:
        there = bool(shutil.which(program))
    if not there:
        pytest.skip(f"{program} is not on this machine: run tests/provision.sh as root")


class Forwarder:
    """A running forwarder; use it as `async with`."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Forwarder:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when devices can send to it."""
        command = self.example.command()
        with (self.example.work / "output.log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, env=environment())
        async with asyncio.timeout(_READY_SECONDS):
            while not await self._accepts():
                assert self._process.returncode is None, f"the forwarder ended:\n{self.said()}"
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Ask it to end as a service manager does, and wait until it has put down its queue."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), _READY_SECONDS)

    async def send(self, *frames: bytes) -> None:
        """Hand it bytes as a device does by TCP; returns when it has read them all, which it shows by closing its end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.example.accepts)
        writer.writelines(frames)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), _TAKEN_SECONDS) == b""
        writer.close()
        await writer.wait_closed()

    def said(self) -> str:
        """What it has said of itself so far."""
        files = (self.example.log, self.example.work / "output.log")
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files if file.exists())

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.example.accepts)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True


def _modules() -> Path:
    return next((UNPACKED / "usr" / "lib" / "syslog-ng").glob("[0-9]*"))
