"""The background pass of a replica: all its data compared with that of the node it follows.

    due ──> a mark is wanted ──> it came in the log: compare ──> the whole pass is done: a result
               ^                                     │
               └── the section's time is over, ──────┘
                   or the session broke: go on at the same key

Each section is compared at one mark, so at one sequence number, whatever is written meanwhile; together they
cover every key of every column family. A pass that is interrupted goes on where it was; when a bootstrap
replaced the store it begins anew. Everything here belongs to the event loop; reading is done in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from replicad.env import Env
from replicad.env.events import get_logger
from replicad.env.task_rate_limit import TaskRateLimiter
from replicad.errors import CorruptionError, ReplicadError, UpstreamError
from replicad.replication.options import VerificationOptions
from replicad.replication.tasks import Wakeup
from replicad.replication.verify.comparison import Comparison, Difference
from replicad.replication.verify.contents import SnapshotContents
from replicad.replication.verify.upstream import Upstream
from replicad.replication.wire.messages import Verified
from replicad.store.database import Database
from replicad.store.marks import Mark, MarkId

log = get_logger("replicad.replication")

MARK_SECONDS_MAX = 15.0
"""How long a mark that is wanted may take to come through the log."""
MARGIN_SECONDS = 30
RETRY_SECONDS_MAX = 10.0
POLL_SECONDS = 0.5
FIRST_SECONDS_MAX = 600.0
"""A node that was never verified waits no longer than this for its first pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a pass found. `sequence` is the last mark's; `damage` is rot in a table of this node."""

    sequence: int
    at_us: int
    seconds: float
    compared_bytes: int
    differences: tuple[Difference, ...]
    damage: CorruptionError | None

    @property
    def is_good(self) -> bool:
        return not self.differences and self.damage is None


class Verifier:
    def __init__(
        self,
        env: Env,
        upstream: Upstream,
        store: Callable[[], Database | None],
        options: VerificationOptions,
        on_result: Callable[[Result], None],
        *,
        last_at_us: int | None = None,
    ) -> None:
        """`store` is the current database; `last_at_us` is when the last pass ended, in an earlier run."""
        self._env = env
        self._upstream = upstream
        self._store = store
        self._options = options
        self._on_result = on_result
        self._rate = TaskRateLimiter(env.clock, options.bytes_per_second)
        self._requested = False
        self._woken = asyncio.Event()
        self._verified: Database | None = None
        self._due_at = self._first_due(last_at_us)
        self.comparison: Comparison | None = None
        """The pass that is under way."""
        self.waits_for = "the next pass"

    def reconfigure(self, options: VerificationOptions) -> None:
        """Counts at once. The next pass is due when it was, or sooner by a shorter interval."""
        self._options = options
        self._rate.set_rate(options.bytes_per_second)
        self._due_at = min(self._due_at, self._env.clock.monotonic() + options.interval_seconds)
        self._woken.set()

    def request(self) -> None:
        """Begins a pass at once, when none is under way."""
        self._requested = True
        self._woken.set()

    async def run(self) -> None:
        """Never returns; what keeps a pass from going on is shown, and tried again."""
        while True:
            await self._until_due()
            self._on_result(await self._pass())
            self._due_at = self._env.clock.monotonic() + self._options.interval_seconds

    def _first_due(self, last_at_us: int | None) -> float:
        interval = self._options.interval_seconds
        if last_at_us is None:
            delay = min(interval, FIRST_SECONDS_MAX)
        else:
            age_seconds = (self._env.clock.wall_us() - last_at_us) / 1e6
            delay = min(max(interval - age_seconds, 0.0), interval)
        return self._env.clock.monotonic() + delay

    async def _until_due(self) -> None:
        self.waits_for = "the next pass"
        with contextlib.suppress(TimeoutError):
            while not self._requested:
                # Woken without a request: the interval is another one.
                self._woken.clear()
                delay = None
                if self._options.interval_seconds:
                    delay = max(self._due_at - self._env.clock.monotonic(), 0.0)
                async with asyncio.timeout(delay):
                    await self._woken.wait()
        self._requested = False

    async def _pass(self) -> Result:
        began = self._env.clock.monotonic()
        sequence = 0
        damage: CorruptionError | None = None
        comparison: Comparison | None = None
        while comparison is None or not (comparison.finished or comparison.enough or damage):
            store = self._store()

            # When a bootstrap replaced the store, what was compared so far is not what is here now.
            if comparison is None or store is not self._verified:
                comparison = self.comparison = self._new_comparison()
                self._verified = store

            if store is None or not self._upstream.is_there:
                self.waits_for = "a stream from a node that can be asked"
                await asyncio.sleep(POLL_SECONDS)
                continue

            try:
                sequence = await self._section(store, comparison)
            except CorruptionError as error:
                # Rot in this node's own data is a result. Rot at the other node is an error like a session
                # that broke.
                damage = error
            except (ReplicadError, OSError) as error:
                # `comparison.at` stays, so the next section goes on at the same key.
                self.waits_for = f"another try, after: {error}"
                log.info("verification.interrupted", reason=str(error), compared=comparison.compared_bytes)
                await asyncio.sleep(min(RETRY_SECONDS_MAX, max(self._options.interval_seconds, 0.1)))

        self.comparison = None

        result = Result(
            sequence=sequence,
            at_us=self._env.clock.wall_us(),
            seconds=self._env.clock.monotonic() - began,
            compared_bytes=comparison.compared_bytes,
            differences=tuple(comparison.differences),
            damage=damage,
        )

        self._upstream.tell(Verified(sequence, len(result.differences) + bool(damage), round(result.seconds)))
        return result

    def _new_comparison(self) -> Comparison:
        return Comparison(differences_max=self._options.differences_max, pause=self._rate.take)

    async def _section(self, store: Database, comparison: Comparison) -> int:
        """Goes on with the pass for as long as one snapshot may be held; the mark's sequence number."""
        seconds = self._options.section_seconds
        mark = Mark(MarkId(self._env.random.bytes(16)), int(seconds) + MARGIN_SECONDS)

        # Both nodes take a snapshot at the mark's sequence number, so they compare the same data whatever is
        # written meanwhile.
        self.waits_for = "a mark in the log"
        self._upstream.want_mark(mark)
        await self._until_marked(store, mark.id)
        self.waits_for = ""

        # A snapshot keeps old versions from being removed, so it is not held for a whole pass: after this
        # time the pass goes on at a new mark.
        snapshot = store.marks.snapshot(mark.id)
        ends_at = self._env.clock.monotonic() + seconds

        try:
            await comparison.run(
                self._upstream.contents(mark.id),
                [SnapshotContents(snapshot)],
                is_over=lambda: self._env.clock.monotonic() >= ends_at,
            )
        finally:
            store.marks.release(mark.id)
            self._upstream.release(mark.id)
        return snapshot.sequence

    async def _until_marked(self, store: Database, id: MarkId) -> None:
        wakeup = Wakeup()
        unsubscribe = store.subscribe(wakeup.notify)

        try:
            async with asyncio.timeout(MARK_SECONDS_MAX):
                while True:
                    # Cleared before the look: a mark that comes between the two wakes the wait.
                    wakeup.clear()
                    if store.marks.has(id):
                        return
                    if not self._upstream.is_there:
                        raise UpstreamError("the stream ended before the mark came")
                    await wakeup.wait()
        except TimeoutError:
            raise UpstreamError(f"the mark did not come within {MARK_SECONDS_MAX:g} s") from None
        finally:
            unsubscribe()
