"""`replicad verify` on real processes: equal under load, and different to the key."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from replicad.cli.exits import DIFFERENT
from replicad.options import Options
from replicad.state import NodeState
from tests.support.files.open_files import open_files
from tests.support.nodes.daemons import SMALL, Cluster, Daemon, Tables, follows, sequence_of
from tests.support.stores.tampering import flip_byte, tamper
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

VERIFY_SECONDS = 60


def verify(*nodes: Daemon | Path, options: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of `replicad verify --json`."""
    names = [str(node) if isinstance(node, Path) else f":{node.port}" for node in nodes]
    done = subprocess.run(
        [sys.executable, "-m", "replicad", "verify", *names, "--json", *options],
        capture_output=True,
        text=True,
        timeout=VERIFY_SECONDS,
    )
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document


def fill(daemon: Daemon, count: int, *, family: int = 0, size: int = 200) -> None:
    with daemon.client() as client:
        pipeline = client.pipeline(transaction=False)
        if family:
            pipeline.execute_command("SELECT", family)
        for number in range(count):
            pipeline.set(f"key:{number:06}", f"{number}".encode() * (size // len(f"{number}")))
        pipeline.execute()


def test_nodes_under_load_are_compared_at_one_sequence_number(cluster: Cluster, primary: Daemon) -> None:
    """Three nodes are compared at one sequence number while the primary is written without a pause."""
    one, two = cluster.replica("one").start(), cluster.replica("two").start()
    fill(primary, 5000)
    primary.ask("REPLICAD.FAMILY", "CREATE", "orders")
    fill(primary, 500, family=1)
    done = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with primary.client() as client:
            while not done.is_set():
                pipeline = client.pipeline(transaction=False)
                for number in range(50):
                    pipeline.set(f"load:{number}", f"{written}" * 20)
                pipeline.execute()
                written += 50

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            before = sequence_of(primary)
            code, document = verify(primary, one, two)
            assert (code, document["equal"], document["complete"]) == (0, True, True)
            assert before < document["sequence"] <= sequence_of(primary)
            assert document["compared_bytes"] > 1_000_000
    finally:
        done.set()
        writer.join()
    assert written > 0
    eventually(lambda: all(node.status()["store"]["leases"] == [] for node in (primary, one, two)))


def test_what_differs_is_named(cluster: Cluster, primary: Daemon) -> None:
    """A changed value, a missing key and an extra key in two families are told, and nothing else."""
    good, bad = cluster.replica("good").start(), cluster.replica("bad").start()
    fill(primary, 3000)
    primary.ask("REPLICAD.FAMILY", "CREATE", "orders")
    fill(primary, 300, family=1)
    for replica in (good, bad):
        follows(replica, primary)
    assert bad.terminate() == 0
    options = Options(**SMALL["store"])
    tamper(bad.data, options, {0: {b"key:001234": b"x", b"key:002000": None}, 1: {b"key:000123+": b"new"}})
    bad.start()
    fill(primary, 10)
    code, document = verify(primary, good, bad)
    assert code == DIFFERENT and document["complete"]
    assert [(d["node"], d["family"], d["key"], d["kind"]) for d in document["differences"]] == [
        (f"127.0.0.1:{bad.port}", "default", "key:001234", "value"),
        (f"127.0.0.1:{bad.port}", "default", "key:002000", "missing"),
        (f"127.0.0.1:{bad.port}", "orders", "key:000123+", "extra"),
    ]
    code, document = verify(primary, bad, options=("--differences", "1"))
    assert code == DIFFERENT and len(document["differences"]) == 1 and not document["complete"]
    assert verify(primary, good)[0] == 0


def test_two_replicas_without_their_primary(cluster: Cluster, primary: Daemon) -> None:
    """Replicas alone are compared with each other, and with a checkpoint, where they stand."""
    one, two = cluster.replica("one").start(), cluster.replica("two").start()
    fill(primary, 1000)
    follows(one, primary)
    follows(two, primary)
    one.ask("REPLICAD.CHECKPOINT", str(cluster.directory / "copy"))
    primary.kill()
    code, document = verify(one, two, cluster.directory / "copy")
    assert (code, document["sequence"]) == (0, sequence_of(one))


def test_a_mark_survives_restarts(cluster: Cluster, primary: Daemon) -> None:
    """Marks in the log cost nobody anything: nodes killed around them recover, follow and verify."""
    replica = cluster.replica().start()
    fill(primary, 500)
    for id in ("00", "11"):
        primary.ask("REPLICAD.VERIFY", "MARK", id * 16, "600")
        fill(primary, 100)
        follows(replica, primary)
        replica.kill()
        primary.ask("REPLICAD.VERIFY", "MARK", id * 15 + "ff", "600")
        primary.kill()
        primary.start()
        replica.start()
        follows(replica, primary)
        assert verify(primary, replica)[0] == 0


QUIET: Tables = {"verification": {"interval_seconds": 0}}
OFTEN: Tables = {
    "verification": {"interval_seconds": 0.3},
    "store": {**SMALL["store"], "block_cache_bytes": 0},
}
TABLES: Tables = {
    "store": {**SMALL["store"], "block_cache_bytes": 0, "table_bytes": 65536, "compression": "none"}
}
"""Many small tables, each read from the disk."""


def has_equal_pass(replica: Daemon) -> bool:
    try:
        found = replica.status()["verification"]
    except (redis.ConnectionError, redis.TimeoutError):
        return False  # the moment of a swap
    return bool(found["result"] == "equal" and found["sound"])


def test_repair_sends_what_is_needed(cluster: Cluster) -> None:
    """`verify --repair` mends the replica that differs, which keeps the tables that are the primary's."""
    primary = cluster.primary(tables=TABLES).start()
    replica = cluster.replica(tables={**TABLES, **QUIET})
    fill(primary, 5000)
    replica.start()
    follows(replica, primary)
    whole = replica.status()["last_bootstrap"]["fetched_bytes"]
    assert replica.terminate() == 0
    tamper(replica.data, Options(**SMALL["store"]), {0: {b"key:000001": b"x"}})
    replica.start()
    code, document = verify(primary, replica, options=("--repair",))
    assert code == DIFFERENT and document["repairing"] == [f"127.0.0.1:{replica.port}"]
    replica.logged("verification.repaired", 30)
    follows(replica, primary)
    assert verify(primary, replica)[0] == 0
    assert replica.ask("GET", "key:000001") == primary.ask("GET", "key:000001")
    last = replica.status()["last_bootstrap"]
    print(f"fetched {last['fetched_bytes']} of {last['size_bytes']} bytes, {whole} at first")
    assert 0 < last["fetched_bytes"] < last["size_bytes"] / 2
    eventually(lambda: has_equal_pass(replica))
    assert replica.process is not None
    assert not [path for path in open_files(replica.data, replica.process.pid) if "(deleted)" in path]


def test_the_background_pass_finds_a_difference_and_mends_it(cluster: Cluster, primary: Daemon) -> None:
    """Without anybody asking: the replica says that it differs, bootstraps again, and verifies that."""
    replica = cluster.replica(tables=OFTEN)
    fill(primary, 2000)
    replica.start()
    follows(replica, primary)
    eventually(lambda: has_equal_pass(replica))
    eventually(lambda: primary.status()["replicas"][0].get("verified_differences") == 0)
    assert replica.terminate() == 0
    tamper(replica.data, Options(**SMALL["store"]), {0: {b"key:000777": None}})
    replica.start()
    replica.logged("verification.repaired", 30)
    (doubted, *_) = replica.logged("verification.doubted")
    assert "key:000777' (missing)" in doubted["reason"]
    follows(replica, primary)
    eventually(lambda: has_equal_pass(replica))


def test_a_doubted_replica_refuses_reads(cluster: Cluster, primary: Daemon) -> None:
    """Until it is mended, also after a restart; where the configuration says serve, it serves."""
    ordered = {"verification": {"interval_seconds": 0.3, "repair": "ordered"}}
    replica = cluster.replica(tables=ordered)
    fill(primary, 1000)
    replica.start()
    follows(replica, primary)
    assert replica.terminate() == 0
    tamper(replica.data, Options(**SMALL["store"]), {0: {b"key:000500": b"x"}})
    replica.start()
    eventually(lambda: not replica.status()["verification"]["sound"])
    eventually(lambda: bool((found := NodeState.read(replica.data).verification) and found.doubt))
    for _ in range(2):
        for words in (("GET", "key:000001"), ("SCAN", "0"), ("DBSIZE",)):
            with pytest.raises(redis.ResponseError, match="DAMAGED"):
                replica.ask(*words)
        assert replica.status()["verification"]["refuses_reads"]
        replica.kill()
        replica.start()
    assert replica.ask("PING") and not replica.events("verification.repaired")
    replica.kill()
    replica.configure({"verification": {**ordered["verification"], "on_divergence": "serve"}})
    replica.start()
    assert replica.ask("GET", "key:000500") == b"x"
    assert replica.status()["verification"]["doubt"]
    replica.ask("REPLICAD.REPAIR")
    eventually(lambda: has_equal_pass(replica), 30)
    assert replica.ask("GET", "key:000500") == primary.ask("GET", "key:000500")


@pytest.mark.parametrize("found_by", ["a read", "the background pass"])
def test_rot_is_found_and_mended(cluster: Cluster, found_by: str) -> None:
    """A flipped byte in a table is told with its file; the table is set aside, and fetched again alone."""
    primary = cluster.primary(tables=TABLES).start()
    replica = cluster.replica(tables={**OFTEN, **TABLES, **(QUIET if found_by == "a read" else {})})
    fill(primary, 3000)
    replica.start()
    follows(replica, primary)
    assert replica.terminate() == 0
    damaged = flip_byte(replica.data)
    rotten = damaged.read_bytes()
    replica.start()
    if found_by == "a read":
        with contextlib.suppress(redis.RedisError), replica.client() as client:
            for number in range(3000):
                client.get(f"key:{number:06}")
    replica.logged("verification.repaired", 30)
    (doubted, *_) = replica.logged("verification.doubted")
    assert damaged.name in doubted["reason"]
    (kept,) = (event["kept"] for event in replica.logged("verification.quarantined"))
    assert Path(kept) == replica.data / "quarantine" / damaged.name
    assert Path(kept).read_bytes() == rotten
    follows(replica, primary)
    found = replica.status()["verification"]
    assert (found["repairs"], found["quarantined"]) == (1, [kept])
    assert verify(primary, replica)[0] == 0
    last = replica.status()["last_bootstrap"]
    assert last["fetched_bytes"] < last["size_bytes"]


def test_a_cascade_verifies_each_node_against_the_one_it_follows(cluster: Cluster, primary: Daemon) -> None:
    """A replica that feeds replicas asks its primary for the mark, and answers from its own data."""
    middle = cluster.replica("middle", tables=QUIET).start()
    cluster.replication_port = int(middle.status()["replication"].rpartition(":")[2])
    last = cluster.replica("last", tables=OFTEN)
    fill(primary, 1000)
    last.start()
    follows(last, primary)
    eventually(lambda: has_equal_pass(last), 30)
    assert verify(primary, middle, last)[0] == 0
    (fed,) = middle.status()["replicas"]
    assert fed["verified_differences"] == 0


def test_rot_on_the_primary_is_told(cluster: Cluster) -> None:
    """The primary names the file in its status and goes on; its replica does not call itself wrong."""
    primary = cluster.primary(tables={"store": {**SMALL["store"], "block_cache_bytes": 0}}).start()
    fill(primary, 3000)
    assert primary.terminate() == 0
    primary.start()
    replica = cluster.replica(tables=QUIET).start()
    follows(replica, primary)
    assert primary.terminate() == 0
    damaged = flip_byte(primary.data)
    primary.start()
    replica.kill()
    replica.configure(OFTEN)
    replica.start()
    eventually(lambda: primary.status()["verification"]["doubt"] is not None)
    assert damaged.name in primary.status()["verification"]["doubt"]
    assert primary.ask("SET", "still", "written")
    assert replica.status()["verification"]["sound"]
