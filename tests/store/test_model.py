"""The database against a sorted dictionary, over random sequences of everything one can do to it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import replicad
from tests.support.files.memory_directory import memory_directory
from tests.support.stores.small import as_after_kill, small_options

STEPS = int(os.environ.get("MODEL_STEPS", "1000"))
STEPS_AN_EXAMPLE = 50
KEYS = st.binary(min_size=0, max_size=3)
VALUES = st.binary(max_size=400)
CHOICES = st.integers(0, 3)
Pairs = dict[bytes, bytes]


class StoreMachine(RuleBasedStateMachine):
    """put, delete, batch, families, snapshot, scans, flush, compact, checkpoint, reopen, kill."""

    @initialize()
    def open(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="replicad-model-", dir=memory_directory()))
        self.generation = 0
        self.options = small_options(segment_bytes=4096, table_bytes=16 * 1024)
        self.db = replicad.open(self.path, self.options)
        self.models: dict[int, Pairs] = {0: {}}
        self.next_family = 1
        self.count = 0
        self.snapshots: list[tuple[replicad.Snapshot, dict[int, Pairs]]] = []

    @property
    def path(self) -> Path:
        return self.root / f"db-{self.generation}"

    def family(self, choice: int) -> int:
        """One of those that there are."""
        return sorted(self.models)[choice % len(self.models)]

    @precondition(lambda self: len(self.models) < 4)
    @rule()
    def create_family(self) -> None:
        self.count += 1
        assert self.db.create_family(f"family {self.next_family}") == self.next_family
        self.models[self.next_family] = {}
        self.next_family += 1

    @precondition(lambda self: len(self.models) > 1)
    @rule(choice=CHOICES)
    def drop_family(self, choice: int) -> None:
        family = sorted(self.models)[1:][choice % (len(self.models) - 1)]
        self.count += 1
        assert self.db.drop_family(family) == self.count
        del self.models[family]
        with pytest.raises(replicad.NotFoundError):
            self.db.get(b"", family=family)

    @rule(key=KEYS, value=VALUES, choice=CHOICES)
    def put(self, key: bytes, value: bytes, choice: int) -> None:
        family = self.family(choice)
        self.count += 1
        assert self.db.put(key, value, family=family) == self.count
        self.models[family][key] = value

    @rule(key=KEYS, choice=CHOICES)
    def delete(self, key: bytes, choice: int) -> None:
        family = self.family(choice)
        self.count += 1
        assert self.db.delete(key, family=family) == self.count
        self.models[family].pop(key, None)

    @rule(
        operations=st.lists(st.tuples(KEYS, st.none() | VALUES, CHOICES), min_size=1, max_size=20),
        note=VALUES,
    )
    def batch(self, operations: list[tuple[bytes, bytes | None, int]], note: bytes) -> None:
        batch = replicad.WriteBatch()
        for key, value, choice in operations:
            family = self.family(choice)
            if value is None:
                batch.delete(key, family)
                self.models[family].pop(key, None)
            else:
                batch.put(key, value, family)
                self.models[family][key] = value
        batch.put_log_data(note)
        self.count += len(operations)
        assert self.db.write(batch) == self.count

    @rule(key=KEYS, choice=CHOICES)
    def get(self, key: bytes, choice: int) -> None:
        family = self.family(choice)
        assert self.db.get(key, family=family) == self.models[family].get(key)

    @rule(keys=st.lists(KEYS, max_size=10), choice=CHOICES)
    def multi_get(self, keys: list[bytes], choice: int) -> None:
        family = self.family(choice)
        assert self.db.multi_get(keys, family=family) == [self.models[family].get(key) for key in keys]

    @rule(start=st.none() | KEYS, end=st.none() | KEYS, reverse=st.booleans(), choice=CHOICES)
    def scan(self, start: bytes | None, end: bytes | None, reverse: bool, choice: int) -> None:
        family = self.family(choice)
        expected = [
            pair
            for pair in sorted(self.models[family].items(), reverse=reverse)
            if (start is None or pair[0] >= start) and (end is None or pair[0] < end)
        ]
        assert list(self.db.scan(start, end, reverse=reverse, family=family)) == expected

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule()
    def take_snapshot(self) -> None:
        models = {family: dict(pairs) for family, pairs in self.models.items()}
        self.snapshots.append((self.db.snapshot(), models))

    @precondition(lambda self: self.snapshots)
    @rule(reverse=st.booleans())
    def check_and_drop_snapshot(self, reverse: bool) -> None:
        snapshot, models = self.snapshots.pop(0)
        assert sorted(snapshot.families.values()) == sorted(models)
        for family, pairs in models.items():
            found = list(snapshot.scan(reverse=reverse, family=family))
            assert found == sorted(pairs.items(), reverse=reverse)
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
            self.check_all(copy)
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

    def check_all(self, database: replicad.Database) -> None:
        assert sorted(database.families.values()) == sorted(self.models)
        for family, pairs in self.models.items():
            assert list(database.scan(family=family)) == sorted(pairs.items())

    def drop_snapshots(self) -> None:
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.snapshots.clear()

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.drop_snapshots()
            self.check_all(self.db)
            self.db.close()
            shutil.rmtree(self.root)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=STEPS // STEPS_AN_EXAMPLE, stateful_step_count=STEPS_AN_EXAMPLE, deadline=None
)
