"""Column families that come and go beside writers, snapshots and checkpoints."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import replicad
from tests.support.stores.small import small_options
from tests.support.waiting import eventually

SECONDS = 2.0


def moved_on(database: replicad.Database, sequence: int, ended: threading.Event) -> bool:
    return database.latest_sequence > sequence or ended.is_set()


def test_families_come_and_go_beside_everything_else(tmp_path: Path) -> None:
    """A batch over two families is seen whole or not at all, in every snapshot and checkpoint."""
    seed = 31
    print(f"seed {seed}")
    database = replicad.open(tmp_path / "db", small_options())
    mirror = database.create_family("mirror")
    ended = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        chance = random.Random(seed)
        number = 0
        while not ended.is_set():
            number += 1
            key, value = b"%03d" % chance.randrange(200), b"%d" % number * 20
            batch = replicad.WriteBatch()
            batch.put(key, value)
            batch.put(key, value, mirror)
            database.write(batch)

    def come_and_go() -> None:
        chance = random.Random(seed + 1)
        while not ended.is_set():
            family = database.create_family("passing")
            for number in range(chance.randrange(300)):
                database.put(b"%d" % number, b"x" * 100, family=family)
            with database.snapshot() as snapshot:
                expected = list(snapshot.scan(family=family))
                database.drop_family(family)
                assert list(snapshot.scan(family=family)) == expected

    def check(view: replicad.Snapshot | replicad.Database) -> None:
        assert list(view.scan()) == list(view.scan(family=mirror))

    def look() -> None:
        while not ended.is_set():
            with database.snapshot() as snapshot:
                check(snapshot)
                digest = snapshot.digest()
                at = database.latest_sequence
                eventually(partial(moved_on, database, at, ended))
                assert snapshot.digest() == digest

    def copy() -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            path = tmp_path / "copy"
            database.create_checkpoint(path, flush=turn % 2 == 0)
            with replicad.open(path, small_options(), read_only=turn % 3 == 0) as again:
                check(again)
            shutil.rmtree(path)

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as failure:
            failures.append(failure)
            ended.set()

    threads = [
        threading.Thread(target=guarded, args=(job,)) for job in (write, come_and_go, look, look, copy)
    ]
    for thread in threads:
        thread.start()
    ended.wait(SECONDS)
    ended.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert not failures, failures
    database.flush()
    assert database.failed is None
    digest = database.digest()
    database.close()
    with replicad.open(tmp_path / "db", small_options()) as database:
        assert database.digest() == digest
        check(database)
