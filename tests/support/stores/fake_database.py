"""A database in memory that keeps the rules of visibility, for tests of what stands on the store.

It is one memtable of the kernel, which is read at a sequence number. A thread makes what was appended durable
(and, under "sync", visible) soon after, unless `hold_sync` says that the disk is slow.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from replicad import kernels
from replicad.errors import InvalidArgument, LogGoneError
from replicad.options import Options
from replicad.server.parts import part_of
from replicad.types import Epoch, FamilyId, HistoryHash, Operation, OperationKind, Position
from replicad.types import Sequence as SequenceNumber


class FakeBatch:
    """What an update carries."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations

    @property
    def data(self) -> bytes:
        """As the store encodes it."""
        batch = kernels.Batch()
        for kind, family, key, value in self.operations:
            if kind == OperationKind.PUT:
                batch.put(key, value or b"", family)
            elif kind == OperationKind.DELETE:
                batch.delete(key, family)
            else:
                batch.put_log_data(value or b"")
        return batch.data


class FakeUpdate:
    def __init__(self, position: Position, first_sequence: int, commit_time: int, batch: FakeBatch) -> None:
        self.position = position
        self.first_sequence = first_sequence
        self.commit_time = commit_time
        self.batch = batch


class FakeCheckpoint:
    def __init__(self, position: Position) -> None:
        self.position = position


class FakeReader:
    """The pairs at the sequence number that `at` says."""

    def __init__(self, view: kernels.ReadView, at: Callable[[], int]) -> None:
        self._view = view
        self._at = at
        self.closed = False

    @property
    def sequence(self) -> int:
        return self._at()

    def get(self, key: bytes, *, family: int = 0) -> bytes | None:
        assert family == 0
        return self._view.get(key, self._at())

    def contains(self, key: bytes, *, family: int = 0) -> bool:
        return self.get(key, family=family) is not None

    def part(self, key: bytes, first: int, last: int, *, family: int = 0) -> tuple[int, bytes]:
        return part_of(self.get(key, family=family) or b"", first, last)

    def multi_get(self, keys: list[bytes], *, family: int = 0) -> list[bytes | None]:
        return [self.get(key, family=family) for key in keys]

    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        family: int = 0,
    ) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._view.scan(start, end, self._at()).page(1 << 62, 1 << 62):
            if key.startswith(prefix or b""):
                yield key, value

    def close(self) -> None:
        self.closed = True


class FakeDatabase:
    def __init__(self, durability: Literal["sync", "async"] = "sync") -> None:
        self.options = Options(durability=durability)
        self.database_id = b"d" * 16
        self.stalled: str | None = None
        self.refused: str | None = None
        self.failed: BaseException | None = None
        self.refuse_with: Exception | None = None
        self.checkpoints: list[Path] = []
        self.snapshots: list[FakeReader] = []
        self.groups: list[int] = []
        self.oldest_log_sequence = 1
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._memtables = kernels.MemtableSet()
        self._memtable = kernels.Memtable()
        self._memtables.set(0, self._memtable)
        self.view = kernels.ReadView([self._memtable], [], [])
        self._frames = kernels.FrameWriter(self.database_id, 1, 0, 0)
        self._log: list[FakeUpdate] = []
        self._appended = Position(Epoch(1), SequenceNumber(0), HistoryHash(0))
        self._durable = self._appended
        self._sync_held = False
        self._sync_wanted = threading.Event()
        self.closed = False
        self.newest = FakeReader(self.view, lambda: self._appended.sequence)
        self._seen = FakeReader(self.view, lambda: self.latest_sequence)
        self._thread = threading.Thread(target=self._sync_forever, daemon=True)
        self._thread.start()

    # Reading.

    families = {"default": 0}  # noqa: RUF012

    def get(self, key: bytes, *, family: int = 0) -> bytes | None:
        return self._seen.get(key, family=family)

    def contains(self, key: bytes, *, family: int = 0) -> bool:
        return self._seen.contains(key, family=family)

    def part(self, key: bytes, first: int, last: int, *, family: int = 0) -> tuple[int, bytes]:
        return self._seen.part(key, first, last, family=family)

    def multi_get(self, keys: list[bytes], *, family: int = 0) -> list[bytes | None]:
        return self._seen.multi_get(keys, family=family)

    def reads(self) -> kernels.ReadSource:
        return kernels.ReadSource(self, self, lambda family, sequence: None)

    @property
    def version(self) -> FakeDatabase:
        """With `view`: what the kernel asks of a version."""
        return self

    def snapshot(self) -> FakeReader:
        sequence = self.latest_sequence
        snapshot = FakeReader(self.view, lambda: sequence)
        self.snapshots.append(snapshot)
        return snapshot

    def digest(self, snapshot: Any = None) -> tuple[int, str]:
        view = snapshot or self.snapshot()
        digest = hashlib.sha256()
        for key, value in view.scan():
            digest.update(struct.pack("<II", len(key), len(value)) + key + value)
        return view.sequence, digest.hexdigest()

    # Where it stands.

    @property
    def visible(self) -> int:
        return self.latest_sequence

    @property
    def appended(self) -> int:
        return self.appended_sequence

    @property
    def latest_sequence(self) -> int:
        return (self._durable if self.options.durability == "sync" else self._appended).sequence

    @property
    def appended_sequence(self) -> int:
        return self._appended.sequence

    @property
    def durable_sequence(self) -> int:
        return self._durable.sequence

    @property
    def position(self) -> Position:
        return self._appended

    @property
    def durable_position(self) -> Position:
        return self._durable

    @property
    def visible_position(self) -> Position:
        return self._durable if self.options.durability == "sync" else self._appended

    def position_at(self, sequence: int) -> Position | None:
        for update in self._log:
            if update.first_sequence <= sequence <= update.position.sequence:
                return update.position
        return None

    # Writing.

    def submit_many(self, items: Sequence[kernels.Batch | tuple[bytes, bytes]]) -> int:
        def add() -> None:
            for item in items:
                batch = _batch_of_one(item) if isinstance(item, tuple) else item
                self._frames.add_batch(batch, 0, self._durable.sequence)

        return self._append(add, len(items))

    def submit_group(self, group: kernels.WriteGroup) -> int:
        count = group.batches
        return self._append(lambda: self._frames.add_group(group, 0, self._durable.sequence), count)

    def _append(self, add: Callable[[], object], count: int) -> int:
        """The time of an update is 1000 times its number, for tests that look one up."""
        if self.refuse_with is not None:
            raise self.refuse_with
        with self._lock:
            add()
            frames = self._frames.pending()
            for epoch, first, operations, _, chained, begin, end in kernels.list_frames(frames):
                last = SequenceNumber(first + max(1, operations) - 1)
                position = Position(Epoch(epoch), last, HistoryHash(chained))
                batch = FakeBatch(
                    [
                        Operation(OperationKind(kind), FamilyId(family), key, value)
                        for kind, family, key, value in kernels.decode_batch(frames[begin:end])
                    ]
                )
                self._log.append(FakeUpdate(position, first, last * 1000, batch))
            self._frames.commit(self._memtables)
            self._appended = self._log[-1].position
        self.groups.append(count)
        if self.options.durability == "async":
            self._tell()
        self._sync_wanted.set()
        return self.appended_sequence

    # What tests do to it.

    def hold_sync(self) -> None:
        """From now on nothing becomes durable."""
        self._sync_held = True

    def release_sync(self) -> None:
        self._sync_held = False
        self._sync_wanted.set()

    def stall(self, reason: str | None) -> None:
        self.stalled = reason
        self._tell()

    def fail(self, failure: BaseException) -> None:
        self.failed = failure
        self._tell()

    epochs = ()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def get_updates_since(self, sequence: int) -> Iterator[FakeUpdate]:
        if sequence < self.oldest_log_sequence:
            raise LogGoneError(sequence, self.oldest_log_sequence)
        for update in list(self._log):
            if sequence <= update.position.sequence <= self.durable_sequence:
                yield update

    def sequence_at_time(self, commit_time_us: int) -> int:
        if commit_time_us < self.oldest_log_sequence - 1:
            raise LogGoneError(self.oldest_log_sequence - 1, self.oldest_log_sequence)
        late = (update.first_sequence for update in self._log if update.commit_time >= commit_time_us)
        return next(late, self.durable_sequence + 1)

    def create_checkpoint(self, path: Path) -> FakeCheckpoint:
        if path in self.checkpoints:
            raise InvalidArgument(f"{path} exists")
        self.checkpoints.append(path)
        return FakeCheckpoint(self._durable)

    def stats(self) -> dict[str, Any]:
        memory = {"active_memtable_bytes": self._memtable.data_bytes, "block_cache_capacity_bytes": 0}
        return {"memory": memory}

    def close(self) -> None:
        self.closed = True
        self._sync_wanted.set()
        self._thread.join()

    def _sync_forever(self) -> None:
        while not self.closed:
            self._sync_wanted.wait()
            self._sync_wanted.clear()
            if self._sync_held:
                continue
            with self._lock:
                self._durable = self._appended
            self._tell()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()


def _batch_of_one(pair: tuple[bytes, bytes]) -> kernels.Batch:
    batch = kernels.Batch()
    batch.put(*pair)
    return batch
