"""A writer, readers with snapshots, a tailing reader and a checkpoint loop, all at once.

The writer moves amounts between accounts in one batch each, so every consistent view has the same total; each
batch also writes its own number under b"batch" and carries it as an annotation. STRESS_SECONDS sets how long.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import replicad
from replicad import WriteBatch
from tests.support.stores.small import small_options

SECONDS = float(os.environ.get("STRESS_SECONDS", "3"))
ACCOUNTS = 64
OPENING = 1000
TOTAL = ACCOUNTS * OPENING


class Stress:
    """The threads of one run; the first failure ends all of them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.seed = seed
        self.db = replicad.open(
            root / "db", small_options(segment_bytes=256 * 1024, memtable_bytes=256 * 1024)
        )
        self.ended = threading.Event()
        self.failures: list[BaseException] = []
        self.observed = 0
        self.batches = 0
        self.written: list[int] = []
        """The last sequence number of each batch, by its number."""

    def run(self) -> None:
        self.open_accounts()
        readers = [lambda n=n: self.read(n) for n in range(8)]
        jobs: list[Callable[[], None]] = [self.write, *readers, self.tail, self.checkpoint]
        threads = [threading.Thread(target=self.guarded, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        self.ended.wait(SECONDS)
        self.ended.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        self.db.close()
        if self.failures:
            raise self.failures[0]

    def guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as failure:
            self.failures.append(failure)
            self.ended.set()

    def open_accounts(self) -> None:
        batch = WriteBatch()
        for account in range(ACCOUNTS):
            batch.put(b"account-%03d" % account, b"%d" % OPENING)
        batch.put(b"batch", b"0")
        batch.put_log_data(b"0")
        self.written.append(self.db.write(batch))

    def write(self) -> None:
        chance = random.Random(self.seed)
        balance = [OPENING] * ACCOUNTS
        while not self.ended.is_set():
            number = len(self.written)
            source, target = chance.sample(range(ACCOUNTS), 2)
            amount = chance.randrange(10)
            balance[source] -= amount
            balance[target] += amount
            batch = WriteBatch()
            batch.put(b"account-%03d" % source, b"%d" % balance[source])
            batch.put(b"account-%03d" % target, b"%d" % balance[target])
            batch.put(b"batch", b"%d" % number)
            batch.put(b"pad-%d" % chance.randrange(1000), bytes(chance.randrange(400)))
            batch.put_log_data(b"%d" % number)
            self.written.append(self.db.write(batch))

    def read(self, reader: int) -> None:
        chance = random.Random(self.seed * 1000 + reader)
        last = 0
        while not self.ended.is_set():
            with self.db.snapshot() as snapshot:
                pairs = list(snapshot.scan(prefix=b"account-", reverse=bool(reader % 2)))
                number = int(snapshot.get(b"batch") or b"")
                assert sum(int(value) for _, value in pairs) == TOTAL and len(pairs) == ACCOUNTS
                assert number >= last, "a later snapshot shows an earlier batch"
                picked = [b"account-%03d" % chance.randrange(ACCOUNTS) for _ in range(5)]
                assert snapshot.multi_get(picked) == [dict(pairs)[key] for key in picked]
                assert snapshot.get(b"batch") == b"%d" % number
                last = number
            self.observed += 1

    def tail(self) -> None:
        updates = self.db.get_updates_since(1)
        expected = 0
        while not self.ended.is_set():
            update = updates.next(timeout=0.1)
            if update is None:
                continue
            note = update.batch.operations[-1]
            assert note.kind == replicad.OperationKind.LOG_DATA and note.value == b"%d" % expected
            expected += 1
        self.batches = expected

    def checkpoint(self) -> None:
        turn = 0
        while not self.ended.is_set():
            path = self.root / f"checkpoint-{turn}"
            position = self.db.create_checkpoint(path, flush=turn % 2 == 0).position
            with replicad.open(path, small_options(), read_only=turn % 3 != 0) as copy:
                values = [int(value) for _, value in copy.scan(prefix=b"account-")]
                assert sum(values) == TOTAL
                assert copy.latest_sequence == position.sequence
            shutil.rmtree(path)
            turn += 1


def test_every_observation_is_consistent(tmp_path: Path) -> None:
    """Snapshots, updates and checkpoints taken under load each show whole batches, in order."""
    seed = int(os.environ.get("STRESS_SEED", time.time_ns() % 100000))
    stress = Stress(tmp_path, seed)
    stress.run()
    print(f"seed {seed}: {len(stress.written)} batches, {stress.observed} snapshots, {stress.batches} tailed")
