"""A bootstrap that is interrupted again and again, by kill -9 of alternating sides.

    python -m tests.support.nodes.interruptions GIGABYTES [KILLS]

runs it at its full size in a directory of its own under TMPDIR and prints how many bytes were sent.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import redis

from replicad.cli.demonstration.ports import HOST
from tests.support.nodes.daemons import Cluster, Daemon, Tables, follows
from tests.support.nodes.proxy import Proxy
from tests.support.waiting import eventually

VALUE_BYTES = 100_000


def load(primary: Daemon, size_bytes: int) -> None:
    """Values that do not compress."""
    generator = random.Random(1)
    with primary.client() as client:
        for first in range(0, size_bytes // VALUE_BYTES, 20):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, first + 20):
                pipeline.set(f"value:{number}", generator.randbytes(VALUE_BYTES))
            pipeline.execute()


def interrupt(cluster: Cluster, size_bytes: int, kills: int, tables: Tables) -> float:
    """Bytes that the primary sent until the replica had its copy, over the bytes of the copy."""
    primary = cluster.primary(tables=tables).start()
    load(primary, size_bytes)
    replica = cluster.replica(tables=tables)
    proxy = Proxy(cluster.replication_port)
    replica.keys["primary"] = f"{HOST}:{proxy.port}"
    replica.configure(tables)
    try:
        replica.spawn()
        eventually(lambda: _bootstrap(replica) is not None, 60)
        total = (_bootstrap(replica) or {})["size_bytes_total"]
        for number in range(kills):
            reached = total * (number + 1) // (kills + 1)
            eventually(lambda reached=reached: _has(replica, reached), 600)  # type: ignore[misc]
            victim = primary if number % 2 else replica
            victim.kill()
            victim.spawn()
        eventually(lambda: _done(replica), 600)
        sent = proxy.from_target_bytes
        assert replica.status()["last_bootstrap"]["size_bytes"] == total, "it was one copy all along"

        # What the last kill of the primary left may have been enough, so it may not be back yet.
        eventually(primary.serves, 60)
        follows(replica, primary, 60)
        return float(sent / total)
    finally:
        proxy.close()


def _bootstrap(replica: Daemon) -> dict[str, int] | None:
    try:
        found: dict[str, int] | None = replica.status()["bootstrap"]
        return found
    except redis.RedisError:
        return None


def _has(replica: Daemon, size_bytes: int) -> bool:
    progress = _bootstrap(replica)
    return progress is not None and progress["size_bytes"] >= size_bytes


def _done(replica: Daemon) -> bool:
    try:
        return replica.status()["last_bootstrap"] is not None
    except redis.RedisError:
        return False


def main() -> None:
    size_bytes = int(float(sys.argv[1]) * 1e9)
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory))
        plain = {"store": {"memtable_bytes": 64 << 20, "segment_bytes": 64 << 20}}
        try:
            ratio = interrupt(cluster, size_bytes, kills, plain)
        finally:
            cluster.end()
    print(f"{size_bytes / 1e9:g} GB, {kills} kills: {ratio:.4f} times the copy's bytes were sent")


if __name__ == "__main__":
    main()
