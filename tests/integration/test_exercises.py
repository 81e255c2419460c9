"""What makes a line an exercise: a ticket of the centre, shown first on a stream, and nothing that anybody else can say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core import metrics
from core.clock import FixedClock
from core.config import IntakeSettings, Listener
from core.engine import Engine
from core.events import IntakeFlag
from core.signing import Signer, Verifier
from ingest.compile import ParserSet
from ingest.exercises import Exercises
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from tests.drills import SIGNER, ticket
from tests.parsing import NOW, fortigate, record
from tests.servers.receiving import count, receiving

DRILL = "DRL-2026-000001"
STRANGER = Signer(Ed25519PrivateKey.generate())
PEER = Origin("_unknown", "unknown-127.0.0.1", "tcp", "127.0.0.1", IntakeFlag.UNKNOWN_SOURCE)


def exercise(shown: str) -> Origin:
    """The origin of a connection on which a ticket was shown."""
    return Origin("gu", "exercise/fw", "tcp", "127.0.0.1", IntakeFlag.REPLAY, "Asia/Seoul", shown)


async def received(folder: Path, verifier: Verifier | None, payloads: list[bytes], lines: int) -> dict[Origin, list[bytes]]:
    """What is on the bus after these connections, one after the other, by origin."""
    listener = Listener(name="t", kind="tcp", host="127.0.0.1", port=0)
    async with receiving(folder) as centre:
        server = await centre.listen(listener, exercises=Exercises(verifier, FixedClock(NOW)))
        for done, payload in enumerate(payloads, 1):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for part in payload.split(b"|"):  # pieces that arrive by themselves
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()
            await writer.wait_closed()
            await centre.until(lines * done // len(payloads))
        return {origin: centre.lines(origin) for origin in centre.origins}


@pytest.mark.parametrize("cut", [b"", b"|"], ids=["together", "ticket first"])
async def test_a_ticket_tags_the_connection_it_begins(tmp_path: Path, cut: bytes) -> None:
    shown = ticket(NOW)
    before = count(metrics.EXERCISE_TICKETS, "admitted")
    found = await received(tmp_path, SIGNER, [shown.encode() + b"\r\n" + cut + b"<13>one\n<13>two\n", b"<13>real\n<13>too\n"], 4)
    assert found == {exercise(shown): [b"<13>one", b"<13>two"], PEER: [b"<13>real", b"<13>too"]}
    assert count(metrics.EXERCISE_TICKETS, "admitted") - before == 1


@pytest.mark.parametrize(
    ("verifier", "shown"),
    [
        (SIGNER, ticket(NOW, signer=STRANGER)),
        (SIGNER, ticket(NOW)[:-4] + "AAA="),
        (SIGNER, ticket(NOW).replace("BONGSU-EXERCISE ", "BONGSU-EXERCISE x")),
        (SIGNER, ticket(NOW - timedelta(minutes=2))),
        (SIGNER, ticket(NOW + timedelta(minutes=2))),
        (SIGNER, "BONGSU-EXERCISE " + "A" * 4000),
        (SIGNER, "BONGSU-EXERCISE"),
        (None, ticket(NOW)),
    ],
    ids=["stranger", "signature", "content", "old", "future", "long", "bare", "no key"],
)
async def test_a_ticket_that_is_not_good_is_a_line_like_any_other(tmp_path: Path, verifier: Verifier | None, shown: str) -> None:
    assert await received(tmp_path, verifier, [shown.encode() + b"\n<13>one\n"], 2) == {PEER: [shown.encode(), b"<13>one"]}


async def test_a_ticket_is_good_once_and_at_the_beginning(tmp_path: Path) -> None:
    shown = ticket(NOW)
    line = shown.encode() + b"\n"
    found = await received(tmp_path, SIGNER, [line + b"<13>one\n<13>more\n", line + b"<13>two\n", b"<13>three\n" + line], 6)
    assert found == {exercise(shown): [b"<13>one", b"<13>more"], PEER: [shown.encode(), b"<13>two", b"<13>three", shown.encode()]}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("origin", "verifier", "drill"),
    [
        (exercise(ticket(NOW)), SIGNER, DRILL),
        (exercise(ticket(NOW - timedelta(minutes=50))), SIGNER, DRILL),
        (exercise(ticket(NOW - timedelta(minutes=61))), SIGNER, ""),
        (exercise(ticket(NOW, signer=STRANGER)), SIGNER, ""),
        (exercise(DRILL), SIGNER, ""),
        (replace(exercise(ticket(NOW)), agency="parks"), SIGNER, ""),
        (replace(exercise(ticket(NOW)), source="fw"), SIGNER, ""),
        (exercise(ticket(NOW)), None, ""),
        (Origin("gu", "exercise/fw", "kafka"), SIGNER, ""),
    ],
    ids=["ours", "later", "over", "stranger", "a number", "another agency", "another source", "no key", "no ticket"],
)
def test_normalise_believes_a_ticket_and_no_header(engine: Engine, origin: Origin, verifier: Verifier | None, drill: str) -> None:
    records = [record([fortigate(1), b"nonsense"], 0, origin=origin), record([fortigate(2)], 1)]
    with closing(Normaliser(engine, ParserSet.load(), IntakeSettings(), FixedClock(NOW), verifier=verifier)) as normaliser:
        done = normaliser.normalise(records, "e1")
    assert done.events["exercise"].to_pylist() == [drill, ""]
    assert done.quarantine["exercise"].to_pylist() == [drill]
