"""When the writes of a tick may go to the store, and when replies that are held may go out.

    WriteGroup --submit, unless the node holds writes--> store
    store or replicas moved (any thread) --wake--> release: visible? on enough replicas? --> ReplyQueue

The node decides who may write and who may acknowledge: this file asks it before each of both, for the role
may change between a write and its reply. The loop's thread owns everything here, except `store_moved`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import cast

from replicad import kernels
from replicad.env.events import get_logger
from replicad.server import refusals
from replicad.server.conditions import Conditions
from replicad.server.interfaces import Node
from replicad.server.reply_queue import ReplyQueue
from replicad.server.stats import ServerStats
from replicad.server.watches import Watches
from replicad.server.write_group import WriteGroup
from replicad.store.database import Database

log = get_logger()


class Committer:
    """Between the open write group, the store, and the queues that hold replies.

    `conditions` are looked at whenever the store moved. Make it, `start` it, `close` it.
    """

    def __init__(
        self,
        store: Database,
        node: Node,
        *,
        watches: Watches,
        conditions: Conditions,
        stats: ServerStats,
        now: Callable[[], float],
    ) -> None:
        self.group = WriteGroup(store, watches, self._schedule)
        self.holding = kernels.HeldQueues(now)
        """The queues that hold something, in the order in which they began to."""
        self.role_changes = 0
        self.stalled = False
        """The store cannot keep up: no socket is read."""
        self.on_stall: Callable[[], None] = lambda: None
        """Called when `stalled` changed."""
        self.on_released: Callable[[], None] = lambda: None
        """Called when replies may have become ready that the kernel sends."""
        self.wrote: Callable[[float, int], None] = lambda seconds, commands: None
        """Called with what the commands of a group took until all could see them, and how many they were."""
        self.closing = False
        """The server ends: writes that the node holds are refused instead of waiting."""
        self._store = store
        self._node = node
        self._conditions = conditions
        self._stats = stats
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._commits: deque[tuple[int, float, float, int]] = deque()
        """Groups that are not visible yet: the last sequence number, when the group was handed to the store,
        when the first of its commands came, and how many commands these are."""
        self._commands = 0
        self._commands_since = 0.0
        self._woken = False
        self._releasing = False
        self._release_again = False
        self._expiry: asyncio.TimerHandle | None = None
        self._unsubscribe: list[Callable[[], object]] = []

    def start(self) -> None:
        self._unsubscribe = [
            self._store.subscribe(self.store_moved),
            self._node.waits.subscribe(self.release),
        ]
        self._wake()

    def close(self) -> None:
        for end in self._unsubscribe:
            end()
        if self._expiry is not None:
            self._expiry.cancel()

    # Writes.

    def _schedule(self) -> None:
        self._loop.call_soon(self.submit)

    def submit(self) -> None:
        """Hands the group to the store; under "async" its replies go out at once. A held one waits."""
        if self._node.holds_writes() and self._store.failed is None:
            if self.closing:
                self._refuse(refusals.SHUTTING_DOWN)
            return
        if not self._node.is_writable:
            self._refuse(refusals.read_only(self._node.primary_address))
            return
        count, refusals_before, begun = self.group.batches, self.group.refusals, self._now()
        if self.group.submit():
            if self.group.refusals == refusals_before:
                since = self._commands_since if self._commands else begun
                self._commits.append((self._store.appended_sequence, begun, since, self._commands))
            self._commands = 0
            self._stats.groups += 1
            self._stats.commits += count
            self.release()
            self._notice_stall()

    def note_writes(self, since: float, commands: int) -> None:
        """This many commands, the first of which came then, have written to the open group."""
        if not self.group.batches:
            self.wrote(self._now() - since, commands)  # nothing of it has to be committed
        elif not self._commands:
            self._commands, self._commands_since = commands, since
        else:
            self._commands += commands

    def _refuse(self, reply: bytes) -> None:
        self._drop(reply)
        self.release()

    def _drop(self, reply: bytes) -> None:
        """Nothing of the open group is written; its commands took no time of a commit."""
        self._commands = 0
        self.group.refuse(reply)

    def refuse_held_writes(self) -> None:
        """Answers writes that wait for the role of the node: they take too much memory."""
        log.warning("server.writes_refused", batches=self.group.batches, size_bytes=self.group.size_bytes)
        self._refuse(refusals.TOO_MUCH_WAITS)

    def role_changed(self) -> None:
        """Writes that waited go to the store, or are refused; so are answers that waited."""
        self.role_changes += 1
        if self._node.is_writable:
            self.submit()
            self._wake()
        else:
            self._drop(refusals.read_only(self._node.primary_address))
            self._disown_held()

    def finish(self) -> None:
        """The last submission, when the server ends."""
        self.closing = True
        self.submit()
        if not self._node.is_writable:
            self._disown_held()

    def _disown_held(self) -> None:
        """Another node is primary: what was written here and not acknowledged may be lost or not."""
        self._fail_held(refusals.outcome_unknown(self._node.primary_address))
        self.on_released()

    def _fail_held(self, reply: bytes) -> None:
        _tell(self.holding.fail(reply))

    # Replies.

    def store_moved(self) -> None:
        """Has what waits for the store looked at soon. Called in any thread, often."""
        if not self._woken:
            self._woken = True
            on_loop = threading.get_ident() == self._loop_thread
            try:
                (self._loop.call_soon if on_loop else self._loop.call_soon_threadsafe)(self._wake)
            except RuntimeError:
                self._woken = False  # the loop ended

    def _wake(self) -> None:
        self._woken = False
        self.release()
        self._notice_stall()
        if self._conditions:
            self._conditions.check()

    def release(self) -> None:
        """Has replies go out that need not wait any more.

        What goes out may run a client's next commands, which may lead here again: that comes after.
        """
        self._release_again = True
        if self._releasing:
            return
        self._releasing = True
        try:
            while self._release_again:
                self._release_again = False
                self._release_all()
                self.on_released()
        finally:
            self._releasing = False

    def _release_all(self) -> None:
        if self._commits and self._commits[0][0] <= self._store.latest_sequence:
            self._note_commits()
        if not self.holding:
            return

        # A store that failed makes nothing visible any more: everybody who waits is told now.
        failure = self._store.failed
        if failure is not None:
            reply = refusals.write_refused(failure)
            self._drop(reply)
            self._fail_held(reply)
            return

        visible = self._acknowledgeable()
        released = self._node.waits.released(visible)

        # What goes out may run the client's next commands, which may end other clients: so all is released
        # before anybody is told.
        _tell(self.holding.release(visible, released))

        # Writes that wait for replicas are answered after a time even when nothing moves.
        if released < visible and self.holding and self._expiry is None:
            self._expire()

    def _note_commits(self) -> None:
        now, visible, commits = self._now(), self._store.latest_sequence, self._commits
        while commits and commits[0][0] <= visible:
            _, begun, since, commands = commits.popleft()
            self._stats.commit_durations.add(now - begun)
            if commands:
                self.wrote(now - since, commands)

    def _acknowledgeable(self) -> int:
        """Up to which sequence number replies may go out: none while the node does not know whether it is
        still primary."""
        return 0 if self._node.holds_answers() else self._store.latest_sequence

    def _expire(self) -> None:
        """Answers writes whose replicas take too long with what is true; comes again while any wait."""
        self._expiry = None
        waits = self._node.waits
        before = self._now() - waits.timeout_seconds
        late = self.holding.late(self._acknowledgeable(), before)
        for sequence in late:
            here = self._store.durable_sequence >= sequence
            reply = refusals.replicas_missing(waits.lacking(sequence), sequence, here)
            self.holding.fail_late(sequence, before, reply)
        if self.holding and not self.closing:
            self._expiry = self._loop.call_later(min(1.0, waits.timeout_seconds / 4), self._expire)
        if late:
            self.release()

    def _notice_stall(self) -> None:
        """While the store cannot keep up, no socket is read. One that takes no writes, or that refuses them
        because its disk is full, is not waited for: it answers reads."""
        store = self._store
        stalled = bool(store.stalled) and store.refused is None and self._node.is_writable
        if stalled is not self.stalled:
            self.stalled = stalled
            log.info("server.stalled" if stalled else "server.resumed", reason=store.stalled or None)
            self.on_stall()


def _tell(queues: list[kernels.ReplyQueue]) -> None:
    """Tells the clients of these queues that they have more to send."""
    for queue in cast("list[ReplyQueue]", queues):
        queue.on_release()
