"""Whether this node's data can be trusted: what the background pass and reads find, and what is done then.

    sound ──a pass finds a difference; a read or a merge finds rot──> doubted ──repair: a bootstrap──> sound
                                                                        │ and verified at once
                                                                        └─ reads are refused meanwhile, if so
                                                                           configured

A table that rotted is put into quarantine before its repair begins.

A repair is automatic once. If the data differs again right after it, the other node or the machine is as
likely the reason, so the operator must decide. Rot on a primary is only reported: its replicas have the data,
and one of them can take the writes. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from replicad.daemon.data.quarantine import is_table_of, keep_aside, kept_aside
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.records import NodeRecords
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.env.task_rate_limit import TaskRateLimiter
from replicad.errors import CorruptionError, InvalidArgument, StoreError
from replicad.replication.options import VerificationOptions
from replicad.replication.replica.follower import Follower
from replicad.replication.tasks import in_thread
from replicad.replication.verify.answering import Answering
from replicad.replication.verify.comparison import Difference, DifferenceKind
from replicad.replication.verify.upstream import Upstream
from replicad.replication.verify.verifier import Result, Verifier
from replicad.state import VerificationRecord as Record
from replicad.store.database import Database
from replicad.store.marks import Mark

log = get_logger("replicad.daemon")

DAMAGED = "DAMAGED the data of this replica cannot be trusted; REPLICAD.STATUS says why"
DIVERGED = "DIVERGED this replica has another history than the node that it follows; replicad rejoin mends it"
ORDERED = "a repair is under way: "
"""What a doubt begins with that is only an order to fetch the data again."""
SHOWN_DIFFERENCES_MAX = 3
SHOWN_KEY_BYTES_MAX = 64


class DataVerification:
    def __init__(
        self,
        env: Env,
        records: NodeRecords,
        options: VerificationOptions,
        data: Path,
        *,
        standing: OwnStanding,
        store: OpenStore,
        holds_writes: Callable[[], bool],
        held_because: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`holds_writes` says whether nothing may be written at the moment although this is the primary,
        `held_because` why no copy may replace the data."""
        self._env = env
        self._data = data
        self._records = records
        self._options = options
        self._standing = standing
        self._store = store
        self._holds_writes = holds_writes
        self._held_because = held_because
        self._follower: Follower | None = None

        self._changed = asyncio.Event()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._rotten: list[Path] = []
        """Tables that are not in quarantine yet."""
        self._kept = kept_aside(env.fs, data)
        """What is in quarantine, also of repairs that have ended."""
        self._quarantined: dict[Path, Path | None] = {}
        """Where the rotten tables of the present data are kept; None for one that could not be kept."""

        self.record = records.state.view().verification or Record()
        self.upstream = Upstream()
        """Asks over the current link."""
        self._answering_rate = TaskRateLimiter(env.clock, options.bytes_per_second)
        self.answering = Answering(
            self._marks, self._write_mark, self._answering_rate.take, self.found_corruption
        )
        """What the sessions of replicas have to be given."""
        # A restart must not begin the passes anew, so the time of the last one is remembered.
        self.verifier = Verifier(
            env,
            self.upstream,
            self._followed_store,
            options,
            self._judge,
            last_at_us=self.record.at_us or None,
        )

    def reconfigure(self, options: VerificationOptions) -> None:
        """Counts at once, also for what was found before."""
        self._options = options
        self._answering_rate.set_rate(options.bytes_per_second)
        self.verifier.reconfigure(options)
        if self.record.doubt is not None:
            self._repair_if_it_may_help(self.record.doubt)

    async def run(self) -> None:
        """Never returns: passes while a node is followed, and saves what they find."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.verifier.run())
            group.create_task(self._keep())

    # What other parts report.

    def following(self, follower: Follower | None) -> None:
        """The link has this follower now, or has ended (None)."""
        self._follower = follower
        if follower is None:
            return
        follower.upstream = self.upstream
        # Data that was doubted before the node was started can be repaired now.
        if self.record.doubt is not None:
            self._repair_if_it_may_help(self.record.doubt)

    def fetch_again(self, reason: str) -> bool:
        """Has the link fetch all data again; False when nobody is followed."""
        return self._follower is not None and self._follower.fetch_again(reason)

    def opened(self, database: Database) -> None:
        """This is the store from now on."""
        self._unsubscribe()
        loop = asyncio.get_running_loop()

        def moved() -> None:
            if database.damage is not None:
                with contextlib.suppress(RuntimeError):  # the loop ended
                    loop.call_soon_threadsafe(self._merge_found, database)

        # The store calls from any thread.
        self._unsubscribe = database.subscribe(moved)

    def installed(self) -> None:
        """A bootstrap replaced all data, every file of it verified: what was doubted is gone."""
        self._quarantined.clear()
        if self.record.doubt is not None:
            log.info("verification.repaired", doubt=self.record.doubt)
            self._set(doubt=None, repairs=self.record.repairs + 1, repaired=self.record.repaired + 1)
            self.verifier.request()

    def found_corruption(self, error: CorruptionError) -> None:
        """A read of this node's own data met rot."""
        doubt = f"damaged: {error}"
        path = error.path
        if self._standing.role == "primary" or path is None or not is_table_of(self._data, path):
            self._doubt(doubt)
            return

        # A repair replaces the table. So the repair begins after the table was put into quarantine: `_keep`
        # does that, and then repairs.
        self._note_doubt(doubt)
        if path in self._quarantined:
            self._repair_if_it_may_help(doubt)
        elif path not in self._rotten:
            self._rotten.append(path)
            self._changed.set()

    def order_repair(self, reason: str) -> None:
        """Fetches the data again, although nothing is wrong with it; raises InvalidArgument on a primary,
        and on a replica whose data may not be replaced."""
        if (held := self._held_because()) is not None:
            raise InvalidArgument(held)
        if self._standing.role == "primary" or not self.fetch_again(reason):
            raise InvalidArgument("only a replica that follows a node can fetch its data again")
        log.warning("verification.repair_ordered", reason=reason)
        self._set(doubt=self.record.doubt or f"{ORDERED}{reason}", repairs=0)

    def repair_refused(self) -> None:
        """A session gave the repair up: data that was not doubted before is not doubted now."""
        if self.record.doubt is not None and self.record.doubt.startswith(ORDERED):
            log.warning("verification.repair_refused", doubt=self.record.doubt)
            self._set(doubt=None)

    def diverged(self, reason: str | None) -> None:
        """The node that is followed has another history; None: it has this one, or nobody is followed."""
        if reason != self.record.diverged and (reason is None or self.record.diverged is None):
            self._set(diverged=None if reason is None else reason[:1000])

    # What the node shows.

    @property
    def reads_refused(self) -> str | None:
        """The error that every read gets, or None."""
        if self._options.on_divergence != "refuse" or self._standing.role != "replica":
            return None
        if self.record.diverged is not None:
            return DIVERGED
        return None if self.record.doubt is None else DAMAGED

    def document(self) -> dict[str, Any]:
        record, running = self.record, self.verifier.comparison
        doubt = record.doubt or record.diverged
        age_seconds = (self._env.clock.wall_us() - record.at_us) / 1e6 if record.at_us else None

        # The first lines say what is known of the data now, the others what the last pass, or the one that
        # runs, has done.
        return {
            "result": None if not record.at_us else "equal" if doubt is None else "doubted",
            "doubt": doubt,
            "sound": doubt is None,
            "refuses_reads": self.reads_refused is not None,
            "quarantined": [str(kept) for kept in self._kept],
            "repairs": record.repaired,
            "repairs_in_a_row": record.repairs,
            "age_seconds": None if age_seconds is None else round(age_seconds, 3),
            "sequence": record.sequence,
            "compared_bytes": record.compared_bytes,
            "pass_seconds": record.pass_ms / 1000,
            "pass_running": running is not None,
            "pass_compared_bytes": 0 if running is None else running.compared_bytes,
            "waits_for": self.verifier.waits_for or None,
        }

    # What is found.

    def _judge(self, result: Result) -> None:
        record = Record(
            at_us=result.at_us,
            sequence=result.sequence,
            compared_bytes=result.compared_bytes,
            pass_ms=int(result.seconds * 1000),
            doubt=self.record.doubt,
            repairs=self.record.repairs,
            diverged=self.record.diverged,
            repaired=self.record.repaired,
        )
        log.info(
            "verification.done",
            good=result.is_good,
            sequence=result.sequence,
            compared_bytes=result.compared_bytes,
            seconds=round(result.seconds, 3),
        )

        if result.is_good:
            # A whole pass read everything, so what was doubted before is repaired, or was never wrong.
            self._replace(replace(record, doubt=None, repairs=0))
            return

        self._replace(record)
        if result.damage is not None:
            self.found_corruption(result.damage)
        else:
            store = self._store.database
            names = {} if store is None else {id: name for name, id in store.families.items()}
            self._doubt(describe(result.differences, names))

    def _merge_found(self, database: Database) -> None:
        self._unsubscribe()
        if database.damage is not None and database is self._store.database:
            self.found_corruption(database.damage)

    def _doubt(self, doubt: str) -> None:
        self._note_doubt(doubt)
        self._repair_if_it_may_help(doubt)

    def _note_doubt(self, doubt: str) -> None:
        if self.record.doubt is None:
            log.error(
                "verification.doubted", role=self._standing.role, reason=doubt, repairs=self.record.repairs
            )
            self._set(doubt=doubt[:1000])

    def _repair_if_it_may_help(self, doubt: str) -> None:
        may_help = self._options.repair == "automatic" and not self.record.repairs
        if may_help and self._standing.role == "replica" and self.fetch_again(doubt):
            log.warning("verification.repairs", reason=doubt)

    # Its parts.

    def _marks(self) -> Any:
        store = self._store.database
        if store is None:
            raise StoreError("this node has no data at the moment")
        return store.marks

    def _write_mark(self, mark: Mark) -> None:
        """A primary writes the mark into its log; a replica that serves replicas asks its own primary for it.

        While the primary hands over its role nothing may be written. The node that wants the mark asks again.
        """
        store = self._store.database
        try:
            if self._standing.role == "primary" and store is not None:
                if not self._holds_writes():
                    store.submit_mark(mark)
            elif self.upstream.is_there:
                self.upstream.want_mark(mark)
        except StoreError as error:
            log.warning("verification.no_mark", reason=str(error))

    def _followed_store(self) -> Database | None:
        return self._store.database if self._standing.role == "replica" else None

    def _set(self, **changes: Any) -> None:
        self._replace(replace(self.record, **changes))

    def _replace(self, record: Record) -> None:
        if record != self.record:
            self.record = record
            self._changed.set()

    async def _keep(self) -> None:
        """What is on disk: the record, and the tables in quarantine."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._rotten:
                await self._quarantine(self._rotten.pop(0))
            try:
                await self._records.put_verification(self.record)
            except StoreError as error:
                log.warning("state.not_saved", reason=str(error))

    async def _quarantine(self, table: Path) -> None:
        kept = None
        try:
            kept = await in_thread(keep_aside, self._env.fs, table)
        except OSError as error:
            # The table is kept only to be looked at: the repair does not wait for room.
            log.warning("verification.not_quarantined", table=str(table), reason=str(error))
        else:
            log.error("verification.quarantined", table=str(table), kept=str(kept))
        self._quarantined[table] = kept
        self._kept = await in_thread(kept_aside, self._env.fs, self._data)
        if self.record.doubt is not None:
            self._repair_if_it_may_help(self.record.doubt)


def describe(differences: tuple[Difference, ...], names: dict[int, str]) -> str:
    """What differs, in words: the first few keys and how many there are."""
    texts = []
    for found in differences[:SHOWN_DIFFERENCES_MAX]:
        key = repr(found.key[:SHOWN_KEY_BYTES_MAX])[1:]
        where = "" if not found.family else f" of column family {names.get(found.family, found.family)!r}"
        texts.append(
            key
            if found.kind in (DifferenceKind.FAMILY_MISSING, DifferenceKind.FAMILY_EXTRA)
            else f"{key}{where}"
        )
        texts[-1] += f" ({found.kind})"
    more = len(differences) - len(texts)
    return f"differs from its primary: {', '.join(texts)}" + (f" and {more} more" if more else "")
