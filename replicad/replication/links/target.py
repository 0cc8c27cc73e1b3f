"""The target's end of a link: it connects to the source again and again, and merges what comes.

    dial ── LINK ──> LINKED ──> (LINK_CUT, SEED …, SEEDED) ──> LINK_BATCHES … ── ACK ──>

How far it is stands in the data: the record of the source's database in `replicad.origins`. Time does not
mend a link that is broken: it stops, its state says why, and it asks again rarely. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Protocol, TypeVar

from replicad.env import Env
from replicad.env.events import bind, get_logger
from replicad.env.reasons import reason_of
from replicad.errors import (
    InvalidArgument,
    PeerTimeoutError,
    ProtocolError,
    ReplicadError,
    SessionRefusedError,
)
from replicad.net.addresses import Address
from replicad.options import BATCH_BYTES_MAX, KIB
from replicad.replication.backoff import backoff_seconds
from replicad.replication.links.codec import decode_batches, decode_origins, decode_seed
from replicad.replication.links.losers import Keep
from replicad.replication.links.merge import ClockAhead, LinkBatch, LinkBroken, LinkOperation
from replicad.replication.links.options import LinkOptions
from replicad.replication.links.records import OriginRecord
from replicad.replication.links.seeding import KeyRange, SeedPlace
from replicad.replication.options import ReplicationOptions
from replicad.replication.tasks import Wakeup, beside
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.identify import SOFTWARE, VERSIONS, Identity
from replicad.replication.wire.keepalive import keep_alive
from replicad.replication.wire.messages import (
    Heartbeat,
    LinkAck,
    LinkBatches,
    LinkCut,
    Linked,
    LinkHello,
    Message,
    Refuse,
    Seeded,
    SeedPart,
)
from replicad.types import Position

log = get_logger()

Taken = TypeVar("Taken")

AHEAD_WAIT_SECONDS_MAX = 60.0
"""A clock that is further ahead than this has to be mended."""
AHEAD_PAUSE_SECONDS = 0.5

TURN_SECONDS = 0.003
"""Of merging, between two turns of clients."""


class LinkPhase(StrEnum):
    CONNECTING = "connecting"
    SEEDING = "seeding"
    STREAMING = "streaming"
    WAITING = "waiting"
    STOPPED = "stopped"


class Merging(Protocol):
    """What a target asks of the primary that it is a part of. Each write is one batch."""

    @property
    def own(self) -> bytes:
        """The database id."""
        ...

    @property
    def is_member(self) -> bool:
        """Whether it knows other primaries than itself."""
        ...

    @property
    def durable_position(self) -> Position: ...

    async def until_writable(self) -> None:
        """Returns when a write may be made, before anything else happens."""
        ...

    def origin(self, id: bytes) -> OriginRecord: ...

    def merge(self, batch: LinkBatch, keep: Keep | None) -> tuple[int, int, int]:
        """Writes what wins of a batch, and what lost where it is kept: its sequence number (0: it was
        dropped), and how many operations won and lost. Raises LinkBroken."""
        ...

    async def note_partial(self) -> None:
        """Something is left out of what comes from now on: this primary does not know what it has seen."""
        ...

    def source_of(self, link: str) -> bytes | None:
        """The database that the link was seeded from; None: all of it has to come first."""
        ...

    def is_safe(self, sequence: int) -> bool:
        """Whether a failover within this site does not lose it."""
        ...

    def subscribe(self, moved: Callable[[], None]) -> Callable[[], None]: ...


class Seeding(Protocol):
    """What becomes of seeds; its writes are the primary's."""

    def place(self, link: str) -> SeedPlace | None:
        """A seed that was broken off."""
        ...

    async def merge(
        self, link: str, place: SeedPlace, family: str, keys: KeyRange, part: list[LinkOperation]
    ) -> int:
        """Writes what becomes of a part, which is all of these keys, and that `place` is reached; its last
        sequence number. Clients have their turns meanwhile."""
        ...

    def finish(self, link: str, place: SeedPlace) -> int:
        """From here on the link has a source, and a place in its log."""
        ...


class LinkTarget:
    """One link, while this node is the primary."""

    def __init__(
        self,
        env: Env,
        identity: Identity,
        name: str,
        asked: LinkOptions,
        merging: Merging,
        seeding: Seeding,
        dial: Callable[[Address], Awaitable[Connection]],
        options: ReplicationOptions,
    ) -> None:
        self.name = name
        self._number = 0
        """Of the address that it uses, or will."""
        self.state = LinkPhase.CONNECTING
        self.reason: str | None = None
        """Why it is not streaming."""
        self.refused = ""
        """The code of the last refusal."""
        self.source = merging.source_of(name)
        """The database id of the source, once its data is here."""
        self.through = 0
        self.newest = 0
        """The source's log: what was read of it, and where it ended then."""
        self.applied = self.dropped = self.won = self.lost = 0
        self._env = env
        self._identity = identity
        self._asked = asked
        self._keep = Keep(name, asked.keep_losers_seconds) if asked.keep_losers_seconds else None
        self._merging = merging
        self._seeds = seeding
        self._dial = dial
        self._options = options
        self._attempts = self._parts = 0
        self._seeding: SeedPlace | None = None
        self._is_resumed = False
        self._is_partial = False
        self._is_ahead = False
        """The source's clock was ahead in this session: it is said once."""
        self._answered = b""
        self._said: dict[Address, str] = {}
        """Why the last session with each address ended."""
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._acknowledged = 0
        self._wakeup: Wakeup | None = None

    @property
    def address(self) -> Address:
        """Of the node that it talks to, or will."""
        return self._asked.sources[self._number]

    @property
    def seeds(self) -> bool:
        """Whether all data has to come first."""
        return self.source is None

    async def run(self) -> None:
        """Never returns."""
        while True:
            try:
                await self._session()
            except (ReplicadError, OSError) as error:
                await asyncio.sleep(self._ended(error))
            except Exception as error:
                # What a peer sends must not end the node: it would come again after the restart.
                log.error("link.failed", link=self.name, exc_info=error)
                await asyncio.sleep(self._ended(LinkBroken(f"what came could not be merged: {error!r}")))

    def _ended(self, error: ReplicadError | OSError) -> float:
        """Takes note of why the session ended; how long to wait before the next."""
        self.reason, options, address = reason_of(error), self._options, self.address
        self.refused = error.code if isinstance(error, SessionRefusedError) else ""
        has_more = self._try_next_address()
        is_new = self.reason != self._said.get(address)
        self._said[address] = self.reason
        broken = isinstance(error, LinkBroken | InvalidArgument) or (
            isinstance(error, SessionRefusedError) and not error.retry
        )
        if broken:
            self.state = LinkPhase.STOPPED
            if is_new:
                log.error("link.stopped", link=self.name, reason=self.reason)
            return options.stopped_retry_seconds
        self.state = LinkPhase.WAITING
        if is_new:
            log.warning("link.down", link=self.name, reason=self.reason)
        if has_more:
            return options.backoff_seconds_min
        self._attempts += 1
        return backoff_seconds(self._attempts, options, self._env.random)

    def _try_next_address(self) -> bool:
        """Whether there is one that was not tried in this round."""
        self._number = (self._number + 1) % len(self._asked.sources)
        return self._number > 0

    async def _session(self) -> None:
        if self.state is not LinkPhase.STOPPED:
            self.state = LinkPhase.CONNECTING
        await self._merging.until_writable()
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                connection = await self._dial(self.address)
        except TimeoutError:
            raise PeerTimeoutError("the source did not accept the connection in time") from None
        bind(link=self.name)
        try:
            await self._agree(connection)
            merging = self._merging
            await beside(
                self._receive(connection),
                self._acknowledge(connection),
                keep_alive(
                    connection,
                    lambda: Heartbeat(merging.durable_position, self._env.clock.wall_us()),
                    heartbeat_seconds=self._options.heartbeat_seconds,
                    idle_seconds=self._options.idle_seconds,
                    send_seconds=self._options.send_seconds,
                ),
            )
        finally:
            connection.close()

    async def _agree(self, connection: Connection) -> None:
        merging = self._merging
        place = self._seeds.place(self.name) if self.source is None else None
        known = OriginRecord() if self.source is None else merging.origin(self.source)
        seed = ("", None) if place is None else (place.family, place.after)
        connection.send(
            LinkHello(
                VERSIONS,
                self._identity.node,
                self._identity.process,
                merging.own,
                SOFTWARE,
                self.name,
                self._asked.families,
                known.epoch,
                known.sequence,
                self.seeds,
                *seed,
                merging.is_member,
                self._asked.prefix_bytes,
            )
        )
        async with asyncio.timeout(self._options.handshake_seconds):
            answer = await connection.receive()
        if isinstance(answer, Refuse):
            raise SessionRefusedError(answer.code, answer.reason, answer.retry)
        if not isinstance(answer, Linked):
            raise ProtocolError(f"{answer.KIND.name} came where LINKED belongs")
        connection.allow_payloads(BATCH_BYTES_MAX + KIB)
        expected = self.source if place is None else place.source
        if expected is not None and answer.database != expected:
            raise LinkBroken(
                f"another database answers there, {answer.database.hex()} and not {expected.hex()}: seed the "
                "link again"
            )
        self._is_ahead = False
        self._unacknowledged.clear()
        self._acknowledged, self._parts = known.sequence, 0
        self._seeding, self._is_resumed = place, place is not None
        self._answered = answer.database
        self._is_partial = answer.partial
        if answer.partial:
            await merging.note_partial()
        # Only now: from here on payloads may come.
        connection.send(LinkAck(self._acknowledged, 0))
        log.info("link.up", peer=connection.peer, source=answer.database.hex(), seeds=self.seeds)

    async def _receive(self, connection: Connection) -> None:
        """Returns when a seed is here that an earlier session began: this one's cut is another, and the next
        session goes on in the log after the first."""
        merging = self._merging
        self._begin_to_receive()
        while True:
            message = await connection.receive()
            if isinstance(message, Heartbeat):
                continue
            await merging.until_writable()
            match message:
                case LinkBatches() if not self.seeds:
                    await self._merge(message)
                case LinkCut() if self.seeds:
                    # Of a seed that goes on, the first cut counts: its first parts are of that.
                    if self._seeding is None:
                        origins = decode_origins(message.payload)
                        self._seeding = SeedPlace(
                            self._answered,
                            message.epoch,
                            message.sequence,
                            origins,
                            message.horizon_us,
                            self._is_partial,
                        )
                case SeedPart() if self._seeding is not None:
                    self._seeding = await self._in_its_time(partial(self._merge_part, self._seeding, message))
                case Seeded() if self._seeding is not None:
                    await self._until_safe(await self._in_its_time(partial(self._finish, self._seeding)))
                    self.source, self._seeding = self._seeding.source, None
                    log.info("link.seeded", link=self.name)
                    if self._is_resumed:
                        return
                    self._begin_to_receive()
                case Refuse():
                    raise SessionRefusedError(message.code, message.reason, message.retry)
                case _:
                    raise _unexpected(message)
            self._goes_on()

    async def _merge(self, message: LinkBatches) -> None:
        turn_ends_at = self._env.clock.monotonic() + TURN_SECONDS
        for batch in decode_batches(message.payload):
            sequence, won, lost = await self._in_its_time(partial(self._merge_batch, batch))
            if sequence:
                self.applied += 1
                self.won += won
                self.lost += lost
                self._unacknowledged.append((sequence, self.through))
            else:
                self.dropped += 1
            # Clients have their turns between batches.
            if self._env.clock.monotonic() > turn_ends_at:
                await asyncio.sleep(0)
                turn_ends_at = self._env.clock.monotonic() + TURN_SECONDS
        self.through, self.newest = message.through, message.newest
        last = self._unacknowledged[-1][0] if self._unacknowledged else 0
        self._unacknowledged.append((last, message.through))
        self._notify()

    async def _finish(self, place: SeedPlace) -> int:
        return self._seeds.finish(self.name, place)

    async def _merge_part(self, place: SeedPlace, message: SeedPart) -> SeedPlace:
        family, upto, operations = decode_seed(message.payload)
        after = place.after if family == place.family else None
        # Behind the last key of a family comes the next name.
        reached = replace(place, family=family if upto is not None else f"{family}\0", after=upto)
        keys = KeyRange(after, upto)
        sequence = await self._seeds.merge(self.name, reached, family, keys, operations)
        self._parts += 1
        self._unacknowledged.append((sequence, 0))
        self._notify()
        return reached

    async def _merge_batch(self, batch: LinkBatch) -> tuple[int, int, int]:
        return self._merging.merge(batch, self._keep)

    async def _in_its_time(self, take: Callable[[], Awaitable[Taken]]) -> Taken:
        """Takes what comes; what a clock that is ahead has stamped, when it is that late here. What follows
        it waits, and the state says why."""
        while True:
            await self._merging.until_writable()
            try:
                taken = await take()
            except ClockAhead as error:
                if error.seconds > AHEAD_WAIT_SECONDS_MAX:
                    raise
                if not self._is_ahead:
                    log.error("link.stopped", link=self.name, reason=str(error))
                self.state, self.reason, self._is_ahead = LinkPhase.STOPPED, str(error), True
                await asyncio.sleep(min(error.seconds, AHEAD_PAUSE_SECONDS))
            else:
                if self.state is LinkPhase.STOPPED:
                    self._begin_to_receive()
                return taken

    def _begin_to_receive(self) -> None:
        self.state = LinkPhase.SEEDING if self.seeds else LinkPhase.STREAMING

    def _goes_on(self) -> None:
        """Something came and was taken: what ended the last session is over."""
        self.reason, self._attempts = None, 0
        self._said.clear()

    async def _until_safe(self, sequence: int) -> None:
        wakeup = Wakeup()
        unsubscribe = self._merging.subscribe(wakeup.notify)
        try:
            while not self._merging.is_safe(sequence):
                wakeup.clear()
                await wakeup.wait()
        finally:
            unsubscribe()

    def _notify(self) -> None:
        if self._wakeup is not None:
            self._wakeup.notify()

    async def _acknowledge(self, connection: Connection) -> None:
        """Tells the source what is safe here, and how many parts of a seed were taken."""
        self._wakeup = wakeup = Wakeup()
        unsubscribe = self._merging.subscribe(wakeup.notify)
        told = (self._acknowledged, 0)
        try:
            while True:
                wakeup.clear()
                while self._unacknowledged and self._merging.is_safe(self._unacknowledged[0][0]):
                    self._acknowledged = max(self._acknowledged, self._unacknowledged.popleft()[1])
                if told != (self._acknowledged, self._parts):
                    told = self._acknowledged, self._parts
                    connection.send(LinkAck(*told))
                await wakeup.wait()
        finally:
            unsubscribe()
            self._wakeup = None


def _unexpected(message: Message) -> ProtocolError:
    return ProtocolError(f"{message.KIND.name} came on a link")
