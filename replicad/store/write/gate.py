"""Who may write now: the one place that says yes or no, and why not.

    takes writes ──begin_change──> takes nothing ──end_change──> takes what the new role takes
                 ──end──> takes nothing any more

The kernel's step asks nobody: `Appender.takes` says what this gate decided, and is changed with it, under the
write lock.
"""

from __future__ import annotations

from replicad import kernels
from replicad.errors import ClosedError, CorruptionError, ReadOnlyError
from replicad.store.core import Role
from replicad.store.writable_core import WritableCore
from replicad.types import Position, Sequence


class WriteGate:
    def __init__(self, core: WritableCore, appender: kernels.Appender) -> None:
        self._core = core
        self._progress = core.progress
        self._lock = core.write_lock
        self._appender = appender
        self._changing = False
        self.ending = False

        # A replica takes the frames of its primary only.
        appender.takes = core.role == "owner"

    def begin_change(self) -> Position:
        """Refuses writes and frames alike until `end_change`; the position after the last of them."""
        with self._lock:
            self.raise_if_ending()
            if self._changing:
                raise ReadOnlyError("the role of this database is changing already")
            self._changing = True
            self._appender.takes = False
            return self._core.log.written

    def end_change(self, role: Role) -> None:
        """Takes what the role takes from now on. Everything written is durable."""
        core, progress = self._core, self._progress
        with self._lock:
            core.role = role
            progress.visible_when_durable = role == "owner" and core.options.durability == "sync"
            progress.visible = progress.appended
            self._changing = False
            self._appender.takes = role == "owner" and not self.ending
        progress.moved()

    def end(self) -> Sequence:
        """Refuses all writes from now on. Returns the last sequence number that there is."""
        with self._lock:
            self.ending = True
            self._appender.takes = False
            return self._core.log.written.sequence

    def admit(self, wait: bool = True) -> None:
        """Waits out a stall, if it may. Raises what is not a stall, but a refusal: DiskFullError or
        CorruptionError."""
        core = self._core
        if core.stalled is None:
            return
        if wait and core.refused is None:
            begin = core.env.clock.monotonic()
            core.counters.stalls += 1
            self._progress.wait(lambda: core.stalled is None or core.refused is not None)
            core.counters.stalled_seconds += core.env.clock.monotonic() - begin
        self.raise_if_refused()

    def raise_if_refused(self) -> None:
        self._progress.raise_if_ended()
        pressure, damage = self._core.pressure, self._core.damage
        if pressure is None or pressure.refuses is None:
            return
        if pressure.refuses is CorruptionError and damage is not None:
            raise CorruptionError(pressure.reason, path=damage.path, offset=damage.offset)
        raise pressure.refuses(pressure.reason)

    def raise_unless_replica(self) -> None:
        """For frames of another node. Under the lock."""
        self.raise_if_ending()
        if self._core.role != "replica" or self._changing:
            raise ReadOnlyError("only a replica applies the frames of another node")

    def raise_if_ending(self) -> None:
        self._progress.raise_if_ended()
        if self.ending:
            raise ClosedError("the database is closed")

    def raise_unwritable(self) -> None:
        self.raise_if_ending()
        if self._core.role == "replica" or self._changing:
            raise ReadOnlyError("this database is a replica: only its primary writes to it")
        self.raise_if_refused()
