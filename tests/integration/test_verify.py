"""`replicad verify` on real processes: equal under load, and different to the key."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from replicad.cli.exits import DIFFERENT
from replicad.options import Options
from tests.support.daemons import SMALL, Cluster, Daemon, follows, sequence_of
from tests.support.tampering import tamper
from tests.support.waiting import eventually

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


def test_equal_under_load(cluster: Cluster, primary: Daemon) -> None:
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
    assert primary.digest() == replica.digest()
