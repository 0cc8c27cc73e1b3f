"""NODE on the command line: a running node by its client address, or a data directory by its path.

Both answer the same questions. A directory is opened read-only, so its daemon may run or be down.
"""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from replicad.cli.nodes.access import Access, NodeAddress, is_node_address, parse_node_address
from replicad.cli.nodes.client import Client
from replicad.errors import LogGoneError, ReplyError, UnreachableError, UsageError
from replicad.types import Epoch, FamilyId, HistoryHash, Operation, OperationKind, Position, Sequence

if TYPE_CHECKING:
    # Only a comparison of nodes needs these at run time: `status` of a running node loads no store.
    from replicad.cli.nodes.sides import LiveSide, Side
    from replicad.store.database import Database
    from replicad.store.marks import Mark, MarkId
    from replicad.store.updates import Update

UPDATES_PER_CALL = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUpdate:
    """One batch of the log, as `replicad updates` shows it."""

    epoch: int
    first_sequence: int
    last_sequence: int
    history_hash: int
    commit_time_us: int
    operations: tuple[Operation, ...]

    @classmethod
    def of(cls, update: Update) -> LogUpdate:
        return cls(
            epoch=update.position.epoch,
            first_sequence=update.first_sequence,
            last_sequence=update.position.sequence,
            history_hash=update.position.history_hash,
            commit_time_us=update.commit_time,
            operations=tuple(update.batch.operations),
        )

    @property
    def position(self) -> Position:
        """The one after it."""
        return Position(Epoch(self.epoch), Sequence(self.last_sequence), HistoryHash(self.history_hash))

    @property
    def annotations(self) -> list[bytes]:
        """What `put_log_data` put into the batch, in order."""
        return [o.value or b"" for o in self.operations if o.kind == OperationKind.LOG_DATA]


class NodeClient(Protocol):
    """What the verbs ask of a NODE."""

    name: str
    key: Hashable
    """Two nodes that are one have one."""

    def status(self) -> dict[str, Any]:
        """The node's status document."""

    def sequence(self) -> int | None:
        """The newest sequence number that its readers see, None while it has no data; cheap."""

    def digest(self) -> tuple[int, str]:
        """Sequence number and SHA-256 of a snapshot taken now; takes as long as reading all data."""

    def updates(self, since: int, *, wait_ms: int = 0) -> Iterator[LogUpdate]:
        """The batches from the one that holds `since` to the durable end of the log.

        With `wait_ms` waits as long for a batch when none follows. Raises LogGoneError.
        """

    def sequence_at_time(self, commit_time_us: int) -> int:
        """The first sequence number of the first batch committed then or later; raises LogGoneError."""

    def families(self) -> dict[str, int]:
        """The number of each column family, by its name."""

    def hold(self, mark: Mark) -> tuple[int, Side]:
        """The sequence number of a snapshot taken now, and what it holds; the caller releases it."""

    def reconnect(self) -> None:
        """Begins anew after the connection broke; raises UnreachableError."""

    def close(self) -> None: ...


def open_node(text: str, *, timeout_seconds: float = 30.0) -> NodeClient:
    """The node that the argument names; raises UsageError or UnreachableError. `timeout_seconds` is for each
    reply."""
    if text and Path(text).is_dir():
        return DirectoryNode(Path(text))
    if not is_node_address(text):
        raise UsageError(f"{text!r} is neither HOST:PORT nor an existing data directory")
    return LiveNode.at(parse_node_address(text), timeout_seconds=timeout_seconds)


class LiveNode:
    """A running node, through its client port."""

    @classmethod
    def at(cls, target: NodeAddress, *, timeout_seconds: float = 30.0) -> LiveNode:
        return cls(target.host, target.port, access=target.access, timeout_seconds=timeout_seconds)

    def __init__(
        self, host: str, port: int, *, access: Access | None = None, timeout_seconds: float = 30.0
    ) -> None:
        self._address = host, port
        self._access = access
        self._timeout_seconds = timeout_seconds
        self.client = Client(host, port, access=access, timeout_seconds=timeout_seconds)
        self.name = self.client.address
        self.key: Hashable = self.client.peer

    def close(self) -> None:
        self.client.close()

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.client.call("REPLICAD.STATUS"))
        return document

    def sequence(self) -> int | None:
        try:
            return self._sequence()
        except UnreachableError:
            # A replica closes its connections when a bootstrap exchanges its data.
            self.reconnect()
            return self._sequence()

    def _sequence(self) -> int | None:
        try:
            return int(Position.parse(self.client.call("REPLICAD.POSITION").decode()).sequence)
        except ReplyError as error:
            if error.code != "LOADING":
                raise
            return None

    def digest(self) -> tuple[int, str]:
        self.client.set_timeout(None)
        try:
            sequence, digest = self.client.call("REPLICAD.DIGEST")
        finally:
            self.client.set_timeout(self._timeout_seconds)
        return int(sequence), digest.decode()

    def updates(self, since: int, *, wait_ms: int = 0) -> Iterator[LogUpdate]:
        while True:
            try:
                reply = self.client.call("REPLICAD.UPDATES", since, UPDATES_PER_CALL, "BLOCK", wait_ms)
            except ReplyError as error:
                _raise_if_gone(error, since)
                raise
            if not reply:
                return
            for element in reply:
                update = _update_of(element)
                yield update
                since = update.last_sequence + 1
            wait_ms = 0

    def sequence_at_time(self, commit_time_us: int) -> int:
        try:
            return int(self.client.call("REPLICAD.SEQUENCEAT", commit_time_us))
        except ReplyError as error:
            _raise_if_gone(error, None)
            raise

    def families(self) -> dict[str, int]:
        return {name.decode(): int(id) for name, id in self.client.call("REPLICAD.FAMILY", "LIST")}

    def hold(self, mark: Mark) -> tuple[int, Side]:
        sequence = self.client.call("REPLICAD.VERIFY", "SNAPSHOT", mark.id.hex(), mark.seconds)
        return int(sequence), self.side(mark.id)

    def side(self, id: MarkId) -> LiveSide:
        """What the node holds for a mark that was written, or will be."""
        from replicad.cli.nodes.sides import LiveSide

        return LiveSide(self.client, id)

    def wait_at_most(self, seconds: float) -> None:
        """For each reply, from now on."""
        self._timeout_seconds = seconds
        self.client.set_timeout(seconds)

    def reconnect(self) -> None:
        self.client.close()
        self.client = Client(*self._address, access=self._access, timeout_seconds=self._timeout_seconds)


def _raise_if_gone(error: ReplyError, sequence: int | None) -> None:
    if error.code == "LOGGONE":
        first = int(str(error).split()[1])
        raise LogGoneError(first - 1 if sequence is None else sequence, first) from None


def _update_of(element: list[Any]) -> LogUpdate:
    first, last, epoch, commit_time_us, history_hash, operations = element
    return LogUpdate(
        epoch=int(epoch),
        first_sequence=int(first),
        last_sequence=int(last),
        history_hash=int(history_hash, 16),
        commit_time_us=int(commit_time_us),
        operations=tuple(
            Operation(OperationKind(int(kind)), FamilyId(int(family)), key, value)
            for kind, family, key, value in operations
        ),
    )


class DirectoryNode:
    """A data directory on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.key: Hashable = path.resolve()
        self._database: Database | None = None

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def database(self) -> Database:
        """The store, opened read-only when it is first needed."""
        if self._database is None:
            import replicad
            from replicad.cli.nodes.offline import options_of

            self._database = replicad.open(self.path, options_of(self.path), read_only=True)
        return self._database

    def status(self) -> dict[str, Any]:
        from replicad.cli.nodes.offline import directory_status

        return directory_status(self.path)

    def sequence(self) -> int | None:
        return int(self.database.latest_sequence)

    def digest(self) -> tuple[int, str]:
        sequence, digest = self.database.digest()
        return int(sequence), digest

    def updates(self, since: int, *, wait_ms: int = 0) -> Iterator[LogUpdate]:
        for update in self.database.get_updates_since(since):
            yield LogUpdate.of(update)
        if wait_ms:
            time.sleep(wait_ms / 1000)
            self.database.refresh()

    def sequence_at_time(self, commit_time_us: int) -> int:
        return self.database.sequence_at_time(commit_time_us)

    def families(self) -> dict[str, int]:
        return self.database.families

    def hold(self, mark: Mark) -> tuple[int, Side]:
        from replicad.cli.nodes.sides import SnapshotSide

        self.database.refresh()
        snapshot = self.database.snapshot()
        return int(snapshot.sequence), SnapshotSide(snapshot)

    def reconnect(self) -> None:
        self.close()
