"""Linked primaries as processes: writers at each, and an oracle that reads their logs when all is quiet."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import redis

import replicad
from replicad.cli.demonstration.ports import HOST
from replicad.replication.links.annotation import MAGIC, decode_provenance
from replicad.replication.links.batches import LinkReader, Logged, Write
from replicad.replication.links.merge import UNSTAMPED
from replicad.replication.links.records import HORIZON_KEY, LINKS, STAMPS, split_stamp_key
from replicad.replication.links.source import fork_of
from replicad.replication.links.stamps import Stamp
from replicad.server.link_records import PARTIAL
from replicad.store.database import Database
from replicad.types import OperationKind
from tests.support.nodes.daemons import Cluster, Daemon
from tests.support.waiting import eventually

FAMILY = "default"


class Sites:
    """Primaries, each with its own database, and the links between them."""

    def __init__(self, directory: Path, count: int) -> None:
        self.cluster = Cluster(directory)
        self.nodes: list[Daemon] = []
        self.replication: list[str] = []
        for number in range(count):
            store = {"log_retention_bytes": 1 << 30, "memtable_bytes": 1 << 20, "segment_bytes": 1 << 20}
            self.nodes.append(self.cluster.primary(f"site{number}", {"store": store}))
            self.replication.append(f"{HOST}:{self.cluster.replication_port}")

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def link(self, source: int, target: int) -> None:
        """Returns when the target has what the source held."""
        node, name = self.nodes[target], f"from{source}"
        node.ask("REPLICAD.LINK", "ADD", name, self.replication[source])
        # Where clocks are wrong a link waits most of the time.
        eventually(lambda: self.link_of(target, source).get("database"), 60)

    def until_streaming(self, target: int, source: int) -> None:
        eventually(lambda: self.link_of(target, source)["state"] == "streaming", 60)

    def link_of(self, target: int, source: int) -> dict[str, object]:
        """The link's row; empty while the node does not answer."""
        try:
            rows = json.loads(self.nodes[target].ask("REPLICAD.LINK", "LIST"))
        except (redis.ConnectionError, redis.TimeoutError):
            return {"state": "away"}
        name = f"from{source}"
        return next(
            (row for row in rows if row["name"] == name and row["direction"] == "in"), {"state": "none"}
        )

    def data(self, number: int) -> dict[bytes, bytes]:
        with self.nodes[number].client() as client:
            keys = sorted(client.scan_iter(count=1000))
            return dict(zip(keys, client.mget(keys), strict=True)) if keys else {}

    def is_partial(self, number: int) -> bool:
        """Whether something was left out of what came to a site over links."""
        with replicad.open(self.nodes[number].data, read_only=True) as store:
            return store.get(PARTIAL, family=store.families[LINKS]) is not None

    def stamps(self, number: int) -> set[bytes]:
        """The keys of the default family that have one, deleted ones too."""
        with replicad.open(self.nodes[number].data, read_only=True) as store:
            found = store.scan(family=store.families[STAMPS])
            split = (split_stamp_key(key) for key, _ in found if key != HORIZON_KEY)
            return {key for family, key in split if family == 0}

    def without_a_stamp(self, number: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Writes into a site's data while it is down, as nobody may: no link ships that."""
        node = self.nodes[number]
        assert node.terminate() == 0
        with replicad.open(node.data) as store:
            for key, value in changes.items():
                if value is None:
                    store.delete(key)
                else:
                    store.put(key, value)
        node.start()

    def until_equal(self, seconds: float = 60) -> dict[bytes, bytes]:
        """Waits until every site has the same data; returns it."""
        found: list[dict[bytes, bytes]] = []

        def are_equal() -> bool:
            found[:] = [self.data(number) for number in range(len(self.nodes))]
            return all(each == found[0] for each in found)

        eventually(are_equal, seconds)
        return found[0]

    def check_logs(self, data: dict[bytes, bytes]) -> None:
        """After the end of all nodes: each key holds the write with the largest stamp of all logs, no origin
        batch stands twice in a log, and none came home."""
        best: dict[bytes, tuple[Stamp, bytes | None]] = {}
        for node in self.nodes:
            assert node.terminate() == 0
            with replicad.open(node.data, read_only=True) as store:
                _check_log(store, best)
        stamped = {key: value for key, (_, value) in best.items()}
        wrong = [key for key, value in stamped.items() if data.get(key) != value]
        assert not wrong, f"{len(wrong)} keys do not hold the newest write: {wrong[:5]}"

    def end(self) -> None:
        self.cluster.end()


def _check_log(store: Database, best: dict[bytes, tuple[Stamp, bytes | None]]) -> None:
    names = {number: name for name, number in store.families.items()}
    reader = LinkReader(store.database_id, 0, lambda name, _: name == FAMILY, names.get)
    arrivals: Counter[tuple[bytes, int, int]] = Counter()
    for update in store.get_updates_since(0):
        writes, annotations = [], []
        for operation in update.batch.operations:
            if operation.kind is OperationKind.LOG_DATA:
                annotations.append(operation.value or b"")
            elif operation.kind in (OperationKind.PUT, OperationKind.DELETE):
                writes.append(Write(names[operation.family], operation.key, operation.value))
        for annotation in annotations:
            if annotation.startswith(MAGIC):
                came = decode_provenance(annotation)
                assert came.origin != store.database_id, "a batch came home"
                arrivals[came.origin, came.epoch, came.last] += 1
        epoch = update.position.epoch
        batch = reader.read(
            Logged(
                epoch=epoch,
                fork=fork_of(epoch, store.epochs),
                last=update.position.sequence,
                writes=tuple(writes),
                annotations=tuple(annotations),
            )
        )
        for each in () if batch is None else batch.operations:
            if each.stamp != UNSTAMPED and (each.key not in best or each.stamp >= best[each.key][0]):
                best[each.key] = each.stamp, each.value
    assert max(arrivals.values(), default=0) <= 1, "a batch was applied twice"


class Writer(threading.Thread):
    """Random writes and deletes of the same keys at one site, until it has made so many."""

    def __init__(self, node: Daemon, seed: int, writes: int, keys: int) -> None:
        super().__init__()
        self.node = node
        self.left = writes
        self.acknowledged = 0
        self._draw = random.Random(seed)
        self._keys = keys
        self._over = threading.Event()

    def run(self) -> None:
        while self.left > 0 and not self._over.is_set():
            try:
                self._write()
            except (redis.RedisError, OSError):
                time.sleep(0.05)  # it was killed, and comes back

    def _write(self) -> None:
        draw = self._draw
        with self.node.client() as client:
            while self.left > 0 and not self._over.is_set():
                pipeline = client.pipeline(transaction=draw.random() < 0.2)
                count = min(self.left, draw.randint(1, 20))
                for _ in range(count):
                    key = f"key:{draw.randrange(self._keys)}"
                    if draw.random() < 0.25:
                        pipeline.delete(key)
                    elif draw.random() < 0.1:
                        pipeline.append(key, "+")
                    else:
                        pipeline.set(key, f"{self.node.name}:{self.left}:{draw.random()}")
                pipeline.execute()
                self.left -= count
                self.acknowledged += count

    def end(self) -> None:
        self._over.set()


def write_everywhere(sites: Sites, seed: int, writes: int, keys: int) -> Sequence[Writer]:
    writers = [Writer(node, seed + number, writes, keys) for number, node in enumerate(sites.nodes)]
    for writer in writers:
        writer.start()
    return writers
