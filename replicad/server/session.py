"""What a client's commands see and change, and which of its replies wait.

A reply that must wait (a write that is not visible yet, or anything that showed such a state) goes into a
held segment; from then on everything the connection says goes behind it, and its reads are of the newest
state. `sink` takes the next reply, wherever it belongs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from replicad.errors import InvalidArgument
from replicad.options import KEY_BYTES_MAX
from replicad.server import refusals
from replicad.server.interfaces import Name, Put, Reader
from replicad.server.parts import part_of
from replicad.server.refusals import Refused
from replicad.server.writes import PENDING, HeldReplies, Transaction
from replicad.store.batch import WriteBatch

if TYPE_CHECKING:
    from replicad.server.server import RespServer

LARGE_BYTES = 16 * 1024
"""From here on a value counts: `ClientState.weigh`."""
_MISSING: Any = object()


class ClientState:
    """The part of a connection that knows the store. The loop's thread owns it."""

    def __init__(self, server: RespServer) -> None:
        self.server = server
        self.get = server.store.get
        self.transaction: Transaction | None = None
        self.annotations: list[bytes] = []
        self.annotation_bytes = 0
        self.family = 0
        self.last_write = 0
        self.waits_for_replicas = True
        self.direct = True  # reads may show the visible default family: nothing is held, no EXEC is under way
        self.held: deque[HeldReplies] = deque()
        self.segment: HeldReplies | None = None
        self.ready: list[bytes] = []
        self.sink: Callable[[bytes], None] = self.ready.append

    # Reading and writing data, for the commands.

    def read(self, key: bytes) -> bytes | None:
        """The value that this connection must see now: after its own writes, its own EXEC included."""
        if self.transaction is not None or self.held:
            return self.read_newest(key)
        return self.server.store.get(key, family=self.family)

    def contains(self, key: bytes) -> bool:
        """Whether `read` would find a value, which is not copied."""
        if self.transaction is not None or self.held:
            return self.contains_newest(key)
        return self.server.store.contains(key, family=self.family)

    def read_part(self, key: bytes, first: int, last: int) -> tuple[int, bytes]:
        """(length, bytes from `first` through `last`) of what `read` would find; only the part is copied."""
        if self.transaction is None and not self.held:
            return self.server.store.part(key, first, last, family=self.family)
        value = self._written(key)
        if value is not _MISSING:
            return part_of(value or b"", first, last)
        part = self._reader.part(key, first, last, family=self.family)
        self._hold_newest()
        return part

    def read_many(self, keys: list[bytes]) -> list[bytes | None]:
        if self.direct:
            return self.server.store.multi_get(keys)
        if self.transaction is None and not self.held:
            return self.server.store.multi_get(keys, family=self.family)
        return [self.read(key) for key in keys]

    def read_newest(self, key: bytes) -> bytes | None:
        """The value that the next write would replace; this reply waits until it is visible."""
        value: bytes | None = self._written(key)
        if value is _MISSING:
            value = self._reader.get(key, family=self.family)
            self._hold_newest()
        return value

    def contains_newest(self, key: bytes) -> bool:
        """Whether `read_newest` would find a value, which is not copied."""
        value = self._written(key)
        if value is not _MISSING:
            return value is not None
        found = self._reader.contains(key, family=self.family)
        self._hold_newest()
        return found

    def _written(self, key: bytes) -> Any:
        """What the EXEC under way or the open group makes of the key (None: it deletes it), or _MISSING."""
        name, transaction = self.name_of(key), self.transaction
        if transaction is not None:
            value = transaction.overlay.get(name, _MISSING)
            if value is not _MISSING:
                return value
        value = self.server.group.overlay.get(name, _MISSING)
        if value is not _MISSING:
            if transaction is None:
                self.depend_on_group()
            else:
                transaction.saw_group = True
        return value

    @property
    def _reader(self) -> Reader:
        """Of the state below that."""
        return self.server.store.newest if self.transaction is None else self.transaction.reader

    def _hold_newest(self) -> None:
        """After a look at the newest state: another thread may append to it meanwhile."""
        if self.transaction is None:
            self.hold(self.server.store.appended_sequence)

    def put(self, key: bytes, value: bytes) -> None:
        """Writes one key as a batch of its own, or as a part of the EXEC under way."""
        family = self.family
        if family:
            self.check_family()
        transaction = self.transaction
        if transaction is not None:
            transaction.open_batch().put(key, value, family)
            transaction.overlay[self.name_of(key)] = value
            return
        if self.annotations or family:
            batch = self.begin_batch()
            batch.put(key, value, family)
            self.commit(batch)
        elif len(key) <= KEY_BYTES_MAX:
            self.commit((key, value))
        else:
            raise InvalidArgument(f"a key has at most {KEY_BYTES_MAX} bytes")
        self.server.group.overlay[self.name_of(key)] = value
        if len(value) > LARGE_BYTES:
            self.weigh(len(value))

    def write(self, changes: dict[bytes, bytes | None]) -> None:
        """Writes (or, for None, deletes) several keys in one batch, at once."""
        for _ in self.write_in_pieces(changes):
            pass

    def write_in_pieces(self, changes: dict[bytes, bytes | None]) -> Iterator[None]:
        """The same with pauses between the turns; nothing is written before the last."""
        transaction, family = self.transaction, self.family
        self.check_family()
        batch = self.begin_batch() if transaction is None else transaction.open_batch()
        overlay: dict[Name, bytes | None] = {} if transaction is None else transaction.overlay
        for key, value in changes.items():
            if value is None:
                batch.delete(key, family)
            else:
                batch.put(key, value, family)
            overlay[(family, key) if family else key] = value
            if self.turn_is_over():
                yield
        if transaction is None:
            self.commit(batch)
            self.server.group.overlay |= overlay

    def select(self, family: int) -> None:
        """The column family that keys are of from now on."""
        self.family = family
        self.settle_direct()

    def wait_for_replicas(self, wanted: bool) -> None:
        """Whether writes from now on wait for the replicas that the rule asks for."""
        self.waits_for_replicas = wanted
        self.segment = None

    def check_family(self) -> None:
        """Refuses to write to a family that was dropped since it was selected: its group would fail."""
        if self.family and self.family not in self.server.store.families.values():
            raise Refused(refusals.NO_SUCH_DATABASE)

    def settle_direct(self) -> None:
        self.direct = self.transaction is None and not self.held and not self.family

    def name_of(self, key: bytes) -> Name:
        return (self.family, key) if self.family else key

    def begin_batch(self) -> WriteBatch:
        """A batch that carries the annotations which wait for one."""
        batch = self.server.new_batch()
        for data in self.annotations:
            batch.put_log_data(data)
        return batch

    def commit(self, batch: WriteBatch | Put) -> None:
        """Adds the batch to the group; this command's reply waits for it."""
        self.server.group.add(self.segment or self._join_group(), batch)
        if self.annotations:
            self.forget_annotations()

    def forget_annotations(self) -> None:
        self.annotations = []
        self.annotation_bytes = 0

    def finish_transaction(self, transaction: Transaction) -> None:
        """Adds what EXEC wrote to the group; its reply waits for what it wrote and saw."""
        if transaction.batch is not None:
            self.commit(transaction.batch)
            self.server.group.overlay.update(transaction.overlay)
        elif transaction.saw_group:
            self.depend_on_group()
        elif self.server.node.is_writable:
            self.hold(self.server.store.appended_sequence)

    # Holding replies.

    def hold(self, sequence: int) -> None:
        """Keeps back this command's reply, and all after it, until `sequence` is visible."""
        if self.transaction is not None:
            return
        if self.held:
            if self.held[-1].sequence >= sequence:
                return
        elif sequence <= self.server.store.latest_sequence:
            return
        self._open_segment(sequence)

    def hold_written(self, sequence: int) -> None:
        """Keeps back this command's reply: it is of what was written just now, up to `sequence`."""
        self.last_write = sequence
        self.segment = None
        segment = self._open_segment(sequence)
        segment.dependent.append(0)
        self.server.store_moved()

    def depend_on_group(self) -> None:
        """This command's reply shows what the open group writes: it waits for it, and fails with it."""
        segment = self.segment or self._join_group()
        segment.dependent.append(len(segment.replies))

    def _join_group(self) -> HeldReplies:
        segment = self.segment = self._open_segment(PENDING)
        self.server.group.segments.append(segment)
        return segment

    def _open_segment(self, sequence: int) -> HeldReplies:
        segment = HeldReplies(self, sequence, self.server.now(), self.waits_for_replicas)
        if not self.held:
            self.server.holding[self] = None
        self.held.append(segment)
        self.sink = segment.replies.append
        self.direct = False
        return segment

    def leave_group(self, segment: HeldReplies) -> None:
        """The group went to the store: later writes belong to another one."""
        self.segment = None

    def release(self, visible: int, released: int) -> None:
        """Sends the replies that are visible, or `released` where they wait for replicas."""
        held = self.held
        ready = self.ready
        while held and held[0].sequence <= (released if held[0].for_replicas else visible):
            ready += held.popleft().replies
        if not held:
            self.server.holding.pop(self, None)
            self.sink = ready.append
            self.settle_direct()
            self.all_released()
        self.settle()

    def fail_held(self, reply: bytes) -> None:
        """Nothing held that reached the store can be vouched for any more."""
        for segment in self.held:
            if segment.sequence:
                segment.replies = [reply] * len(segment.replies)
        self.release(PENDING, PENDING)

    # What the connection does about it.

    def weigh(self, size: int) -> None:
        """Counts a large value on its way to the store or the client."""
        raise NotImplementedError

    def turn_is_over(self) -> bool:
        """Whether others should have their turn."""
        raise NotImplementedError

    def all_released(self) -> None:
        """Nothing is held any more."""
        raise NotImplementedError

    def settle(self) -> None:
        """Replies became ready."""
        raise NotImplementedError
