"""The replica's side of a bootstrap: gets the list, fetches what is missing, verifies, and leaves it staged.

    list ──> what is here already ──> WANTED ──> pieces over one connection and more ──> staged, verified

The first connection is the session's own; others join it while the rate grows. After a break, of the session
or of either process, every file goes on where it stood. The present data is not touched.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from replicad.env import Env
from replicad.env.events import bind, get_logger
from replicad.errors import ProtocolError, ReplicationError, SessionRefusedError
from replicad.replication.copy.copy_window import CopyWindows
from replicad.replication.copy.fetch_plan import FetchPlan, another_helps
from replicad.replication.copy.staging import FILES_MAX, StagedFile, Staging, check_list
from replicad.replication.copy.transfer import Transfer
from replicad.replication.options import ReplicationOptions
from replicad.replication.ports import Dial, ReplicaData
from replicad.replication.tasks import beside, in_thread, to_its_end
from replicad.replication.traffic import Traffic
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.framing import PAYLOAD_BYTES_MAX
from replicad.replication.wire.headers import FileEntry
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.keepalive import keep_alive
from replicad.replication.wire.messages import (
    Copy,
    Data,
    Fetch,
    Files,
    Heartbeat,
    Join,
    Message,
    Refuse,
    WantedFiles,
)
from replicad.state.records import BootstrapProgress
from replicad.types import Position

log = get_logger("replicad.replication")

RAMP_SECONDS = 1.0
"""How long a number of connections is tried before another joins."""
TELL_SECONDS = 10.0
"""How often the log tells how far the bootstrap is."""


@dataclass(slots=True)
class _Work:
    """What the connections of one bootstrap share."""

    staging: Staging
    entries: list[FileEntry]
    plan: FetchPlan
    windows: CopyWindows
    transfer: Transfer
    progress: BootstrapProgress
    open: dict[int, StagedFile]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False
    """A file that came whole could not be finished, and perhaps nobody was there to hear why."""


class Fetcher:
    """One bootstrap over one session."""

    def __init__(
        self,
        env: Env,
        connection: Connection,
        identity: Identity,
        dial: Dial,
        data: ReplicaData,
        data_dir: Path,
        options: ReplicationOptions,
        position: Callable[[], Position],
        on_progress: Callable[[BootstrapProgress], None],
        *,
        traffic: Traffic | None = None,
    ) -> None:
        """`position` is what heartbeats of further connections say of this node."""
        self._env = env
        self._connection = connection
        self._identity = identity
        self._dial = dial
        self._data = data
        self._data_dir = data_dir
        self._options = options
        self._position = position
        self._on_progress = on_progress
        self._traffic = traffic or Traffic()
        self.waits_for = ""
        self.connections = 1
        self.transfer: Transfer | None = None

    async def run(self) -> tuple[Copy, Path]:
        """Returns when the whole copy is verified and durable in the staging directory."""
        self.waits_for = "the primary to make a copy"
        copy, entries = await receive_list(self._connection)

        # The peer may be hostile: nothing is written before its list is checked.
        check_list(entries, copy.bytes)
        staging = Staging(self._env.fs, self._data_dir, entries)

        # What an earlier attempt left and what the present data shares with the copy is not fetched.
        self.waits_for = "the files that are here already to be verified"
        local = await in_thread(self._data.local_files)
        here = await in_thread(staging.prepare, local, self._options.free_bytes_min)
        absent = sum(entries[index].size - size for index, size in here.items())

        work = self._begin(copy, entries, staging, here, absent)
        self._connection.send(WantedFiles(copy.copy, len(here), absent))

        bind(copy=copy.copy.hex())
        self.waits_for = "files from the primary"
        try:
            await beside(
                self._fetch_over(self._connection, work), self._widen(work, copy.copy), self._tell(work)
            )
        finally:
            # Files that are not finished stay: the next attempt goes on where they end.
            for file in work.open.values():
                file.close()

        self.waits_for = "the files to be named durably"
        await in_thread(staging.finish)
        return copy, staging.path

    def _begin(
        self, copy: Copy, entries: list[FileEntry], staging: Staging, here: dict[int, int], absent: int
    ) -> _Work:
        options, now = self._options, self._env.clock.monotonic()
        progress = BootstrapProgress(
            copy_id=copy.copy,
            position=str(copy.position),
            files=len(entries) - len(here),
            files_total=len(entries),
            size_bytes=copy.bytes - absent,
            size_bytes_total=copy.bytes,
            started_us=self._env.clock.wall_us(),
        )

        windows = CopyWindows(options.copy_window_bytes)
        sizes = {index: entries[index].size for index in here}
        plan = FetchPlan(sizes, here, piece_bytes=windows.piece_bytes)

        self.transfer = Transfer(absent, now)
        self._on_progress(progress)
        return _Work(staging, entries, plan, windows, self.transfer, progress, {})

    # One connection.

    async def _fetch_over(self, connection: Connection, work: _Work) -> None:
        """Returns when nothing is left for this connection, and on the session's own when all is here."""
        # The disk takes a file while the next one arrives; only one, so that a slow disk slows the peer down.
        finishing: deque[asyncio.Task[None]] = deque()
        try:
            while work.progress.files < work.progress.files_total:
                self._ask(connection, work)
                wants_more = work.plan.expected(connection) is not None
                if len(finishing) > wants_more:
                    await asyncio.shield(finishing[0])
                    finishing.popleft()
                elif wants_more:
                    await self._take(connection, work, finishing)
                elif connection is self._connection:
                    # Others have the last files. One of them may break and leave its own to this one.
                    work.changed.clear()
                    await work.changed.wait()
                else:
                    return
        finally:
            work.windows.release(connection)

            # What came whole gets its name, also when the connection broke: nobody asks for it again.
            await to_its_end(asyncio.gather(*finishing, return_exceptions=True))

    def _ask(self, connection: Connection, work: _Work) -> None:
        """For as many pieces as the connection's window admits."""
        window, now = work.windows.of(connection), self._env.clock.monotonic()
        while window.admits(now) and (piece := work.plan.claim(connection)) is not None:
            connection.send(Fetch(piece.entry, piece.offset, piece.length))
            window.asked(piece.length, now)

    async def _take(self, connection: Connection, work: _Work, finishing: deque[asyncio.Task[None]]) -> None:
        """Writes what comes next. A file that is whole then is finished by a task, which goes to the end of
        `finishing`."""
        message = await receive(connection)
        piece = work.plan.expected(connection)
        assert piece is not None
        entry = work.entries[piece.entry]

        # Answers come in the order of the questions, and a byte at a wrong place would be found only with the
        # whole file.
        if not isinstance(message, Data) or (message.entry, message.offset) != (piece.entry, piece.offset):
            raise ProtocolError(f"not the bytes of {entry.name} from {piece.offset} on")
        if not 0 < len(message.payload) <= piece.length:
            raise ProtocolError(f"{len(message.payload)} bytes of {entry.name} where {piece.length} belong")

        work.windows.of(connection).received(len(message.payload), self._env.clock.monotonic())
        self._traffic.copy_received_bytes += len(message.payload)

        file = work.open.get(piece.entry)
        if file is None:
            file = work.open[piece.entry] = await in_thread(work.staging.writer, piece.entry)

        before = file.offset
        try:
            await in_thread(file.append, message.payload)
        finally:
            # Also when cancelled: what was written counts, or the next connection would write it again.
            if self._account(connection, work, file.offset - before):
                del work.open[piece.entry]
                finishing.append(asyncio.create_task(self._finish(file, work)))

    def _account(self, connection: Connection, work: _Work, size: int) -> bool:
        """Whether the file is complete now."""
        if not size:
            return False
        complete = work.plan.received(connection, size)
        work.transfer.move(size, self._env.clock.monotonic())
        work.progress = replace(work.progress, size_bytes=work.progress.size_bytes + size)
        self._on_progress(work.progress)
        return complete

    async def _finish(self, file: StagedFile, work: _Work) -> None:
        """Verifies, syncs and names a file that came whole."""
        try:
            await in_thread(file.finish)
        finally:
            # Also when cancelled: nobody asks for this file again, so the others would wait for it for ever.
            work.broken = work.broken or not file.finished
            work.progress = replace(work.progress, files=work.progress.files + file.finished)
            self._on_progress(work.progress)
            work.changed.set()

    # More connections.

    async def _widen(self, work: _Work, copy_id: bytes) -> None:
        """Adds connections while each makes it faster. Never returns."""
        rates: list[float] = []
        async with asyncio.TaskGroup() as group:
            while another_helps(rates, self.connections, self._options.copy_connections_max):
                if len(rates):
                    self.connections += 1
                    group.create_task(self._join(work, copy_id))

                before = work.transfer.moved_bytes
                await asyncio.sleep(RAMP_SECONDS)
                rates.append((work.transfer.moved_bytes - before) / RAMP_SECONDS)
            await asyncio.Event().wait()

    async def _join(self, work: _Work, copy_id: bytes) -> None:
        """One more connection, to its end. The bootstrap goes on without it when the link was the reason."""
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                connection = await self._dial()
        except (OSError, TimeoutError) as error:
            log.info("bootstrap.connection_failed", reason=str(error))
            self.connections -= 1
            return

        try:
            connection.allow_payloads(PAYLOAD_BYTES_MAX)
            connection.send(Join(self._identity.node, self._identity.process, copy_id))

            # The primary ends a connection that is silent, so each has heartbeats of its own.
            await beside(
                self._fetch_over(connection, work),
                keep_alive(
                    connection,
                    lambda: Heartbeat(self._position(), self._env.clock.wall_us()),
                    heartbeat_seconds=self._options.heartbeat_seconds,
                    idle_seconds=self._options.idle_seconds,
                    send_seconds=self._options.send_seconds,
                ),
            )
        except (ReplicationError, ConnectionError) as error:
            # A file that came whole could not be finished. Nobody asks for it again, so the bootstrap would
            # wait for ever.
            if work.broken:
                raise
            log.info("bootstrap.connection_lost", peer=connection.peer, reason=str(error))
        finally:
            self.connections -= 1

            # Its unfinished files are for the others: the session's own connection may be waiting for them.
            work.plan.release(connection)
            work.changed.set()
            connection.close()

    async def _tell(self, work: _Work) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            now = self._env.clock.monotonic()
            left = work.transfer.seconds_left(now)
            log.info(
                "bootstrap.progress",
                files=work.progress.files,
                files_total=work.progress.files_total,
                size_bytes=work.progress.size_bytes,
                size_bytes_total=work.progress.size_bytes_total,
                rate_bytes=round(work.transfer.bytes_per_second(now)),
                eta_seconds=None if left is None else round(left, 1),
                connections=self.connections,
            )


async def receive(connection: Connection) -> Message:
    """The next message that is not a heartbeat; a refusal is an error."""
    while True:
        message = await connection.receive()
        if isinstance(message, Refuse):
            raise SessionRefusedError(message.code, message.reason, message.retry)
        if not isinstance(message, Heartbeat):
            return message


async def receive_list(connection: Connection) -> tuple[Copy, list[FileEntry]]:
    """What a bootstrap begins with: the copy, and its files in the order that FETCH counts."""
    copy = await receive(connection)
    if not isinstance(copy, Copy):
        raise ProtocolError(f"{copy.KIND.name} came where COPY belongs")
    if copy.files > FILES_MAX:
        raise ProtocolError(f"a copy of {copy.files} files; the limit is {FILES_MAX}")
    entries: list[FileEntry] = []
    while len(entries) < copy.files:
        part = await receive(connection)
        if not isinstance(part, Files) or part.first != len(entries) or not part.entries:
            raise ProtocolError("the list of files does not go on where it ended")
        entries += part.entries
    if len(entries) != copy.files:
        raise ProtocolError(f"the list has {len(entries)} files, {copy.files} were announced")
    return copy, entries
