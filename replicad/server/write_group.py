"""Group commit as the server sees it: the writes of one tick of the loop go to the store together.

    client --put--> kernels.WriteGroup --submit_group, once a tick--> store
       ^                                                                |
       +---------- replies, when their sequence number is visible ------+

Every write command (and every EXEC) is a batch of its own. Until the group goes to the store, `lookup` finds
what it writes, so a command that follows a write sees it without ending the group early.

The loop's thread owns everything here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from replicad import kernels
from replicad.env.events import get_logger
from replicad.errors import DiskFullError, ReplicadError
from replicad.server.refusals import write_refused
from replicad.server.watches import Watches
from replicad.store.database import Database

log = get_logger()


class WriteGroup(kernels.WriteGroup):
    """The batches of this tick, and the queues whose replies wait for them."""

    def __init__(self, store: Database, watches: Watches, schedule: Callable[[], None]) -> None:
        """`schedule` is called at the first batch of each tick: it has the group submitted."""
        super().__init__(schedule, secrets.randbits(64))
        self.refusals = 0
        """How many groups were not written."""
        self.no_room: str | None = None
        """Why the last one was not, when that was for lack of room."""
        self.no_room_bytes = 0
        """How large it was."""
        self._store = store
        self._watches = watches

    def refuse(self, reply: bytes) -> None:
        """Drops what waits: nothing of it is written, and `reply` says so."""
        self.refusals += 1
        self.fail(reply)

    def submit(self) -> bool:
        """Hands the group to the store and settles its replies. True when there was anything."""
        batches = self.batches
        if not batches:
            return False
        if self._watches:
            self._watches.wrote(self.changes().keys())

        # One write to the log for all: every batch is in it afterwards or, when it raises, none.
        try:
            last = self._store.submit_group(self)
        except Exception as error:
            if not isinstance(error, ReplicadError):
                log.error("server.group_failed", batches=batches, exc_info=error)
            self.no_room = str(error) if isinstance(error, DiskFullError) else None
            self.no_room_bytes = self.size_bytes
            self.refuse(write_refused(error))
        else:
            self.no_room = None
            self.settle(last)
        return True
