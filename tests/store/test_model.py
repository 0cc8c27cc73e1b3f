"""The database against a sorted dictionary, over random sequences of everything one can do to it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import replicad
from tests.support.stores import as_after_kill, small_options

KEYS = st.binary(min_size=0, max_size=3)
VALUES = st.binary(max_size=400)


class StoreMachine(RuleBasedStateMachine):
    """put, delete, batch, snapshot, scans, flush, compact, checkpoint, reopen, kill."""

    @initialize()
    def open(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="replicad-model-"))
        self.generation = 0
        self.options = small_options(segment_bytes=4096, table_bytes=16 * 1024)
        self.db = replicad.open(self.path, self.options)
        self.model: dict[bytes, bytes] = {}
        self.count = 0
        self.snapshots: list[tuple[replicad.Snapshot, dict[bytes, bytes]]] = []

    @property
    def path(self) -> Path:
        return self.root / f"db-{self.generation}"

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.count += 1
        assert self.db.put(key, value) == self.count
        self.model[key] = value

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.count += 1
        assert self.db.delete(key) == self.count
        self.model.pop(key, None)

    @rule(operations=st.lists(st.tuples(KEYS, st.none() | VALUES), min_size=1, max_size=20), note=VALUES)
    def batch(self, operations: list[tuple[bytes, bytes | None]], note: bytes) -> None:
        batch = replicad.WriteBatch()
        for key, value in operations:
            if value is None:
                batch.delete(key)
                self.model.pop(key, None)
            else:
                batch.put(key, value)
                self.model[key] = value
        batch.put_log_data(note)
        self.count += len(operations)
        assert self.db.write(batch) == self.count

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.db.get(key) == self.model.get(key)

    @rule(keys=st.lists(KEYS, max_size=10))
    def multi_get(self, keys: list[bytes]) -> None:
        assert self.db.multi_get(keys) == [self.model.get(key) for key in keys]

    @rule(start=st.none() | KEYS, end=st.none() | KEYS, reverse=st.booleans())
    def scan(self, start: bytes | None, end: bytes | None, reverse: bool) -> None:
        expected = [
            pair
            for pair in sorted(self.model.items(), reverse=reverse)
            if (start is None or pair[0] >= start) and (end is None or pair[0] < end)
        ]
        assert list(self.db.scan(start, end, reverse=reverse)) == expected

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule()
    def take_snapshot(self) -> None:
        self.snapshots.append((self.db.snapshot(), dict(self.model)))

    @precondition(lambda self: self.snapshots)
    @rule(reverse=st.booleans())
    def check_and_drop_snapshot(self, reverse: bool) -> None:
        snapshot, model = self.snapshots.pop(0)
        assert list(snapshot.scan(reverse=reverse)) == sorted(model.items(), reverse=reverse)
        snapshot.close()

    @rule()
    def flush(self) -> None:
        self.db.flush()

    @rule()
    def compact(self) -> None:
        self.db.compact()

    @rule()
    def checkpoint(self) -> None:
        target = self.root / "checkpoint"
        assert self.db.create_checkpoint(target).position.sequence == self.count
        with replicad.open(target, self.options) as copy:
            assert list(copy.scan()) == sorted(self.model.items())
        shutil.rmtree(target)

    @rule()
    def reopen(self) -> None:
        self.drop_snapshots()
        self.db.close()
        self.db = replicad.open(self.path, self.options)

    @rule()
    def kill(self) -> None:
        """The directory as it is now is what a kill would leave; the old process is thrown away."""
        self.drop_snapshots()
        old, old_path = self.db, self.path
        self.generation += 1
        as_after_kill(old_path, self.path)
        self.db = replicad.open(self.path, self.options)
        old.close()
        shutil.rmtree(old_path)

    @invariant()
    def position(self) -> None:
        assert self.db.latest_sequence == self.count

    def drop_snapshots(self) -> None:
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.snapshots.clear()

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.drop_snapshots()
            assert list(self.db.scan()) == sorted(self.model.items())
            self.db.close()
            shutil.rmtree(self.root)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
