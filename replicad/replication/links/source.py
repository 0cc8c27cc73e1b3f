"""The source's end of a link: what is linked of this primary's log, to the primary of another database.

    LINK ──> introduce the target ──> LINKED ──┬─ seeds: LINK_CUT, SEED …, SEEDED ─┐
                                               └─ has a place in the log ──────────┴─> LINK_BATCHES … <── ACK

Only log is sent that a failover within the site does not lose, and a batch never to the primary where it was
made. A slot under the target's database id keeps the log that the target lacks. Belongs to the event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Series
from typing import Protocol

from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import InvalidArgument, LogGoneError, NotFoundError, ProtocolError
from replicad.replication.links.batches import LinkReader, Logged, Write
from replicad.replication.links.codec import encode_batches, encode_origins, encode_seed
from replicad.replication.links.link_filter import LinkFilter
from replicad.replication.links.merge import LinkBatch, LinkBroken
from replicad.replication.links.records import OriginRecord
from replicad.replication.links.seed_reader import held_in, horizon_at, origins_at, take_part
from replicad.replication.options import ReplicationOptions
from replicad.replication.primary.slots import Slots
from replicad.replication.tasks import Wakeup, beside, in_thread
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.identify import SOFTWARE, Identity
from replicad.replication.wire.keepalive import keep_alive
from replicad.replication.wire.messages import (
    PROTOCOL_VERSION,
    Heartbeat,
    LinkAck,
    LinkBatches,
    LinkCut,
    Linked,
    LinkHello,
    Refuse,
    Seeded,
    SeedPart,
)
from replicad.store.database import Database
from replicad.store.reading import Snapshot
from replicad.store.updates import Update, UpdateIterator
from replicad.types import EpochRecord, HistoryHash, OperationKind, Position, Sequence

log = get_logger()

SLOT_NAME = "link:"
"""The names of slots of links begin so."""
SEED_PARTS_MAX = 4
"""Sent and not acknowledged."""
UPDATE_BYTES = 256
"""About what each takes besides its batch."""


class LinkedPrimary(Protocol):
    """What the source asks of the primary that it is a part of."""

    def why_not(self, asker: bytes, *, is_member: bool) -> Refuse | None:
        """Why that primary cannot have a link from here now. `is_member`: it knows other primaries."""
        ...

    async def introduce(self, member: bytes, families: Series[str]) -> None:
        """Links these families, and has the other members know of this one; durably when it returns.
        Raises NotFoundError for a family that is not there, InvalidArgument for one that cannot be linked
        any more."""
        ...

    @property
    def linked_families(self) -> frozenset[str]: ...

    @property
    def is_partial(self) -> bool:
        """Something was left out of what came here over links."""
        ...

    @property
    def safe_through(self) -> int:
        """What is durable, and on the replicas that a write waits for: a failover does not lose it."""
        ...

    def subscribe(self, moved: Callable[[], None]) -> Callable[[], None]:
        """Has `moved` called when that has changed; what is returned ends it."""
        ...


class LinkSource:
    """One session with one target."""

    def __init__(
        self,
        env: Env,
        identity: Identity,
        store: Database,
        connection: Connection,
        hello: LinkHello,
        *,
        primary: LinkedPrimary,
        slots: Slots,
        options: ReplicationOptions,
    ) -> None:
        self.hello = hello
        self.sent = hello.sequence
        """Of this log, read through here."""
        self.acknowledged = 0
        self.state = "agreeing"
        self.connection = connection
        self._env = env
        self._identity = identity
        self._store = store
        self._primary = primary
        self._chosen = LinkFilter(hello.families, hello.prefixes)
        self._slots = slots
        self._options = options
        self._wakeup = Wakeup()
        self._parts_sent = self._parts_acknowledged = 0
        self._said_partial = False
        self._has_answered = False
        """The target is ready for payloads: its first acknowledgement came."""
        self._on_its_way: deque[tuple[int, int]] = deque()
        self._window_bytes = 0
        self._family_names: dict[int, str] = {}
        """By id, which is never used again."""

    async def run(self) -> None:
        """To its end: a refusal was sent, or an error of the peer or of the store, or a cancellation."""
        hello, store, connection = self.hello, self._store, self.connection
        refusal = self._refusal()
        if refusal is not None:
            log.warning("link.refused", peer=connection.peer, code=refusal.code, reason=refusal.reason)
            connection.send(refusal)
            return

        try:
            await self._primary.introduce(hello.database, hello.families)
        except (InvalidArgument, NotFoundError) as error:
            connection.send(Refuse("families", str(error), False))
            return
        self._hold_log()
        self._said_partial = self._is_partial
        connection.send(
            Linked(
                PROTOCOL_VERSION,
                self._identity.node,
                store.database_id,
                SOFTWARE,
                round(self._options.heartbeat_seconds * 1000),
                store.durable_position,
                self._said_partial,
            )
        )
        await beside(
            self._serve(),
            self._receive(),
            keep_alive(
                connection,
                lambda: Heartbeat(store.durable_position, self._env.clock.wall_us()),
                heartbeat_seconds=self._options.heartbeat_seconds,
                idle_seconds=self._options.idle_seconds,
                send_seconds=self._options.send_seconds,
            ),
        )

    def _hold_log(self) -> None:
        """From before anything is sent: what the target will ask for must not go. A seed that goes on needs
        the log from its first cut on, which the slot has. The session does not count as a reader of the slot:
        log over the limits goes, and the target is told so."""
        hello, slots = self.hello, self._slots
        if hello.seed_family and slots.get(hello.database) is not None:
            return
        held = self._store.durable_sequence if hello.seeds else hello.sequence
        slots.hold(
            hello.database,
            held,
            self._env.clock.wall_us(),
            name=f"{SLOT_NAME}{hello.name}",
            position=self._position(held),
        )

    def _position(self, sequence: int) -> str:
        """What the slot shows. As that of a feed it is never replaced, and never forgotten by itself."""
        epoch = self._store.durable_position.epoch
        return str(Position(epoch, Sequence(sequence), HistoryHash(0)))

    def _refusal(self) -> Refuse | None:
        hello, store = self.hello, self._store
        if PROTOCOL_VERSION not in hello.versions:
            return Refuse(
                "version", f"the link speaks versions {hello.versions}, this node {PROTOCOL_VERSION}", False
            )
        if hello.database == store.database_id:
            return Refuse(
                "same-database",
                "a link joins two databases, and this is the same one: it wants a replica",
                False,
            )
        if (refusal := self._primary.why_not(hello.database, is_member=hello.member)) is not None:
            return refusal
        if not hello.seeds:
            reason = why_not_from(
                hello.epoch,
                hello.sequence,
                store.epochs,
                store.durable_position.epoch,
                store.durable_sequence,
            )
            if reason is not None:
                return Refuse("lost-log", reason, False)
        return None

    async def _serve(self) -> None:
        unsubscribe = self._primary.subscribe(self._wakeup.notify)
        try:
            while not self._has_answered:
                self._wakeup.clear()
                await self._wakeup.wait()
            through = await self._seed() if self.hello.seeds else self.hello.sequence
            self.state = "streaming"
            await self._stream(through)
        except LogGoneError as error:
            self.connection.send(Refuse("log-gone", f"{error}; seed the link again", False))
            raise
        except LinkBroken as error:
            self.connection.send(Refuse("long-key", str(error), False))
            raise
        finally:
            unsubscribe()

    async def _receive(self) -> None:
        while True:
            message = await self.connection.receive()
            if isinstance(message, Heartbeat):
                continue
            if not isinstance(message, LinkAck):
                raise ProtocolError(f"{message.KIND.name} came on a link")
            if message.sequence > self.sent or message.parts > self._parts_sent:
                raise ProtocolError("the link acknowledges what was not sent")
            self._has_answered = True
            self._parts_acknowledged = message.parts
            while self._on_its_way and self._on_its_way[0][0] <= message.sequence:
                self._window_bytes -= self._on_its_way.popleft()[1]
            if message.sequence > self.acknowledged:
                self.acknowledged = message.sequence
                self._slots.advance(
                    self.hello.database,
                    message.sequence,
                    self._env.clock.wall_us(),
                    position=self._position(message.sequence),
                )
            self._wakeup.notify()

    # All that is here.

    async def _seed(self) -> int:
        """Sends a snapshot of what is linked; through where it is."""
        store, hello = self._store, self.hello
        self.state = "seeding"
        with store.snapshot() as snapshot:
            cut, epoch = snapshot.sequence, store.durable_position.epoch
            origins = await in_thread(origins_at, store, snapshot)
            clock = origins.get(store.database_id, OriginRecord())
            origins[store.database_id] = OriginRecord(epoch, cut, *clock[2:])
            horizon_us = await in_thread(horizon_at, store, snapshot)
            self.connection.send(LinkCut(epoch, cut, encode_origins(origins), horizon_us))
            self.sent = cut

            for family in self._chosen.families(self._primary.linked_families):
                if family < hello.seed_family:
                    continue
                after = hello.seed_after if family == hello.seed_family else None
                await self._seed_family(snapshot, family, after)
        self.connection.send(Seeded())
        return cut

    async def _seed_family(self, snapshot: Snapshot, family: str, after: bytes | None) -> None:
        held = held_in(self._store, snapshot, family, self._chosen, after)
        while True:
            part = await in_thread(take_part, held, self._options.chunk_bytes)
            upto = part[-1].key if part else None
            self._parts_sent += 1
            self.connection.send(SeedPart(encode_seed(family, upto, part)))
            await self.connection.drain()
            if not part:
                return
            while self._parts_sent - self._parts_acknowledged >= SEED_PARTS_MAX:
                self._wakeup.clear()
                await self._wakeup.wait()

    # What is written.

    async def _stream(self, through: int) -> None:
        store = self._store
        reader = LinkReader(store.database_id, through, self._is_carried, self._family_name)
        updates = store.get_updates_since(through + 1)
        ready: deque[Update] = deque()
        try:
            while True:
                self._wakeup.clear()
                if self._window_bytes >= self._options.window_bytes:
                    await self._wakeup.wait()
                    continue
                if not ready:
                    ready.extend(await in_thread(take_updates, updates, self._options.chunk_bytes))
                safe, found = self._primary.safe_through, []
                while ready and ready[0].position.sequence <= safe:
                    found.append(ready.popleft())
                if not found:
                    await self._wakeup.wait()
                    continue

                if self._is_partial != self._said_partial:
                    # The target has to know before such a batch comes: the next session says it first.
                    self.connection.send(Refuse("partial", "a link of the source leaves something out", True))
                    return
                batches: list[LinkBatch] = []
                for update in found:
                    batch = reader.read(self._logged(update))
                    if batch is None or not self._is_for_target(batch):
                        continue
                    if len(update.batch.data) > self._options.chunk_bytes:
                        # A message of its own, so that no message is over the limit of a payload.
                        await self._send(batches, update.first_sequence - 1)
                        batches = []
                    batches.append(batch)
                await self._send(batches, found[-1].position.sequence)
        finally:
            updates.close()

    async def _send(self, batches: list[LinkBatch], through: int) -> None:
        payload = encode_batches(batches)
        self.sent = through
        self._on_its_way.append((through, len(payload)))
        self._window_bytes += len(payload)
        self.connection.send(LinkBatches(through, self._store.durable_sequence, payload))
        await self.connection.drain()

    def _is_for_target(self, batch: LinkBatch) -> bool:
        """Not what was made there; and of what was made elsewhere nothing, where the link leaves some out."""
        origin = batch.provenance.origin
        if self._leaves_out:
            return origin == self._store.database_id
        return origin != self.hello.database

    @property
    def _leaves_out(self) -> bool:
        return self._chosen.leaves_out(self._primary.linked_families)

    @property
    def _is_partial(self) -> bool:
        return self._leaves_out or self._primary.is_partial

    def _is_carried(self, family: str, key: bytes) -> bool:
        return family in self._primary.linked_families and self._chosen.carries(family, key)

    def _family_name(self, id: int) -> str | None:
        if id not in self._family_names:
            self._family_names = {number: name for name, number in self._store.families.items()}
        return self._family_names.get(id)

    def _logged(self, update: Update) -> Logged:
        epoch = update.position.epoch
        writes, annotations = [], []
        for operation in update.batch.operations:
            match operation.kind:
                case OperationKind.PUT | OperationKind.DELETE:
                    name = self._family_name(operation.family)
                    if name is not None:
                        writes.append(Write(name, operation.key, operation.value))
                case OperationKind.LOG_DATA:
                    annotations.append(operation.value or b"")
        return Logged(
            epoch=epoch,
            fork=fork_of(epoch, self._store.epochs),
            last=update.position.sequence,
            writes=tuple(writes),
            annotations=tuple(annotations),
        )


def fork_of(epoch: int, epochs: Series[EpochRecord]) -> int:
    """After which sequence number it begins."""
    return next((record.fork.sequence for record in epochs if record.epoch == epoch), 0)


def why_not_from(
    epoch: int, sequence: int, epochs: Series[EpochRecord], newest_epoch: int, durable: int
) -> str | None:
    """Why the log cannot go on after what a target has of it; None if it can."""
    if epoch > newest_epoch or (epoch == newest_epoch and sequence > durable):
        return (
            f"the target has this primary's log through {sequence} of epoch {epoch}, and it ends at "
            f"{durable} of epoch {newest_epoch}: what was lost here is there; seed the link again"
        )
    later = [record for record in epochs if record.epoch > epoch]
    if later and sequence > later[0].fork.sequence:
        return (
            f"the target has this primary's log through {sequence} of epoch {epoch}, which a promotion ended "
            f"at {later[0].fork.sequence}: what was lost here is there; seed the link again"
        )
    return None


def take_updates(updates: UpdateIterator, size_bytes: int) -> list[Update]:
    """What is durable now, until it is that large. Blocks."""
    found = []
    for update in updates:
        found.append(update)
        size_bytes -= len(update.batch.data) + UPDATE_BYTES
        if size_bytes <= 0:
            break
    return found
