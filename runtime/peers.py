"""Reading peers: the bundles of `respond.sharing.peers` go into the library of indicators by `detect.indicators.importing`.

Each collection is asked every few minutes. What a turn brought is in the library before the state is moved on, so that a turn cut short is
done again and nothing is lost; taking the same in again replaces it.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from datetime import timedelta

import structlog

from core.clock import Clock
from core.database import Database
from core.errors import BongsuError
from core.sharing_settings import PeerSettings
from detect.indicators.feeds import Defaults
from detect.indicators.importing import Importer
from respond.sharing import peers
from respond.sharing.peers import Turn

_ACTOR = "system:peers"
_log = structlog.get_logger()


class PeerReader:
    """Reads one peer for ever."""

    def __init__(self, peer: PeerSettings, database: Database, importer: Importer, clock: Clock) -> None:
        self._peer = peer
        self._database = database
        self._importer = importer
        self._clock = clock
        self._problems: dict[str, str] = {}

    async def run(self) -> None:
        """Ask every collection, wait, and begin anew; a peer that keeps back more is asked again at once."""
        while True:
            more = [await self.look(collection) for collection in self._peer.collections]
            if not any(more):
                await asyncio.sleep(timedelta(minutes=self._peer.minutes).total_seconds())

    async def look(self, collection: str) -> bool:
        """One turn of one collection; whether the peer has more.

        What went wrong is kept for people, logged when it is new, and tried again the next time.
        """
        turn = Turn()
        try:
            turn = await asyncio.to_thread(self._ask, collection)
            taken = await self._take_in(turn)
        except BongsuError as error:
            if str(error) != self._problems.get(collection):
                _log.warning("peer.failed", peer=self._peer.name, collection=collection, error=str(error))
            self._problems[collection] = str(error)
            await asyncio.to_thread(self._keep, collection, Turn(), 0, str(error))
            return False
        self._problems.pop(collection, None)
        await asyncio.to_thread(self._keep, collection, turn, taken, "")
        return turn.more

    def _ask(self, collection: str) -> Turn:
        with self._database.session(readonly=True) as session:
            after = peers.state_of(session, self._peer.name, collection)
        with peers.client(self._peer) as http:
            return peers.ask(http, self._peer, collection, after)

    async def _take_in(self, turn: Turn) -> int:
        """Import what is an indicator; how many entries were taken."""
        if not any(one.get("type") == "indicator" for one in turn.objects):
            return 0
        content = turn.bundle()
        defaults = Defaults(self._peer.expire_days, self._peer.tlp, self._peer.confidence)
        name = f"peer-{self._peer.name}"
        done = await self._importer.run(io.BytesIO(content), hashlib.sha256(content).hexdigest(), name, "stix", defaults, _ACTOR)
        return done.accepted

    def _keep(self, collection: str, turn: Turn, taken: int, problem: str) -> None:
        with self._database.session() as session:
            if problem:
                turn.added_after = peers.state_of(session, self._peer.name, collection)
            peers.keep(session, self._peer.name, collection, self._clock.now(), turn, taken, problem)
