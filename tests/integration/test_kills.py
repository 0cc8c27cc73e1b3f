"""kill -9 of both nodes in a loop, while a client writes and another watches the replica."""

from __future__ import annotations

import random
import threading
import time

import pytest
import redis

from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

ROUNDS = 3
LOG = "log"


class Writer(threading.Thread):
    """Transactions that append their own number to one key; a lost answer is never asked again."""

    def __init__(self, primary: Daemon) -> None:
        super().__init__()
        self.primary = primary
        self.acknowledged: list[int] = []
        self.tried = 0
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                with self.primary.client() as client:
                    while not self.ending.is_set():
                        number, self.tried = self.tried, self.tried + 1
                        pipeline = client.pipeline(transaction=True)
                        pipeline.append(LOG, b"%d," % number)
                        pipeline.set(f"w:{number}", number)
                        pipeline.execute()
                        self.acknowledged.append(number)
                        time.sleep(0.001)
            except redis.ConnectionError:
                time.sleep(0.01)


class Watcher(threading.Thread):
    """Reads the log key from the replica whenever it answers."""

    def __init__(self, replica: Daemon) -> None:
        super().__init__()
        self.replica = replica
        self.observed: list[bytes] = []
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                with self.replica.client() as client:
                    while not self.ending.is_set():
                        value = client.get(LOG) or b""
                        if not self.observed or value != self.observed[-1]:
                            self.observed.append(value)
                        time.sleep(0.002)
            except redis.RedisError:
                time.sleep(0.01)


def test_a_replica_that_joins_while_a_client_writes(cluster: Cluster, primary: Daemon) -> None:
    """Bootstraps during writes, one alone and two at once, end in the same data with nothing missing."""
    writer = Writer(primary)
    writer.start()
    try:
        eventually(lambda: len(writer.acknowledged) > 100)
        replicas = [cluster.replica("a").start()]
        replicas += [cluster.replica("b"), cluster.replica("c")]
        for replica in replicas[1:]:
            replica.spawn()
        for replica in replicas:
            eventually(replica.serves)
        count = len(writer.acknowledged) + 50
        eventually(lambda: len(writer.acknowledged) > count)
    finally:
        writer.ending.set()
        writer.join()
    for replica in replicas:
        follows(replica, primary)
    assert len(writer.acknowledged) == writer.tried


def test_nothing_acknowledged_is_lost_and_nothing_comes_twice(cluster: Cluster, primary: Daemon) -> None:
    """Through kills of both nodes every acknowledged transaction is there once; all that the replica showed
    was a prefix of the primary's history."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    replica = cluster.replica().start()
    writer, watcher = Writer(primary), Watcher(replica)
    writer.start()
    watcher.start()
    try:
        for _ in range(ROUNDS):
            for daemon in (replica, primary):
                count = len(writer.acknowledged) + rng.randrange(20, 150)
                eventually(lambda count=count: len(writer.acknowledged) >= count)  # type: ignore[misc]
                daemon.kill()
                time.sleep(rng.uniform(0, 0.2))  # Not a wait: how long the node is away is drawn.
                daemon.start()
    finally:
        writer.ending.set()
        writer.join()
        try:
            follows(replica, primary)
        finally:
            watcher.ending.set()
            watcher.join()
    with primary.client() as client:
        history = client.get(LOG)
        assert isinstance(history, bytes)
        numbers = [int(number) for number in history.split(b",")[:-1]]
        assert len(set(numbers)) == len(numbers)
        assert numbers == sorted(numbers)
        assert set(writer.acknowledged) <= set(numbers)
        assert client.mget([f"w:{number}" for number in numbers]) == [b"%d" % number for number in numbers]
    assert len(watcher.observed) > ROUNDS
    assert all(history.startswith(value) for value in watcher.observed)
