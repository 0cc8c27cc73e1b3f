"""Bootstraps on bad days, with real nodes: kills, cuts, a throttle, several connections."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from replicad.cli.demonstration.ports import HOST
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.nodes.interruptions import interrupt, load
from tests.support.nodes.proxy import Proxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

SLOW = {"file_chunk_bytes": 8192, "copy_window_bytes": 16384}


def test_kills_of_both_sides_cost_a_window_each(cluster: Cluster) -> None:
    """20 kill -9 of alternating sides: every byte goes over the wire once, but for a twentieth."""
    ratio = interrupt(
        cluster, 16_000_000, 20, {"link": {**SLOW, "copy_bytes_per_second": 6_000_000}, "store": {}}
    )
    print(f"{ratio:.4f} times the bytes")
    assert ratio <= 1.05


def joining(cluster: Cluster, size_bytes: int, link: Mapping[str, object]) -> tuple[Daemon, Daemon, Proxy]:
    """A primary with data, and a replica without, not started, behind a proxy. Each connection of a bootstrap
    takes a file of its own, so there are several however much was compacted."""
    primary = cluster.primary(tables={"link": link, "store": {"table_bytes": 1_000_000}}).start()
    load(primary, size_bytes)
    replica = cluster.replica(tables={"link": link})
    proxy = Proxy(cluster.replication_port)
    replica.keys["primary"] = f"{HOST}:{proxy.port}"
    replica.configure({"link": link})
    return primary, replica, proxy


def test_a_link_cut_at_many_offsets_of_a_bootstrap(cluster: Cluster) -> None:
    """Wherever it breaks, the bootstrap goes on, and what came before the break is not sent again."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    primary, replica, proxy = joining(cluster, 2_000_000, {**SLOW})
    try:
        offsets = [1, 15, 16, 17, 300, 1000, *(rng.randrange(1, 100_000) for _ in range(25))]
        for index, offset in enumerate(offsets):
            proxy.cut_after = offset
            if not index:
                replica.spawn()
            eventually(lambda cuts=index + 1: proxy.cuts == cuts)  # type: ignore[misc]
        follows(replica.start() if replica.process is None else replica, primary)
        assert proxy.from_target_bytes < 2_000_000 * 1.05 + len(offsets) * (16384 + 2000)
    finally:
        proxy.close()


def test_a_throttle_is_changed_while_a_bootstrap_runs(cluster: Cluster) -> None:
    """Slow at first, with an estimate on both sides; the limit is lifted, and it is over far sooner."""
    primary, replica, proxy = joining(cluster, 3_000_000, {**SLOW, "copy_bytes_per_second": 20_000})
    try:
        replica.spawn()
        eventually(lambda: bool((primary.status()["replicas"] or [{}])[0].get("eta_seconds")))
        (entry,) = primary.status()["replicas"]
        assert entry["state"] == "bootstrapping"
        assert entry["wanted_bytes"] > 2_500_000 > 2_000_000 > entry["moved_bytes"]
        # There is no estimate while nothing has come, and more than two minutes are left then.
        eventually(lambda: (replica.status()["bootstrap"]["eta_seconds"] or 0) > 30)
        assert primary.ask("REPLICAD.THROTTLE") == 20_000
        primary.ask("REPLICAD.THROTTLE", "0")
        follows_when_there(replica, primary)
        assert primary.status()["copy_bytes_per_second"] == 0
    finally:
        proxy.close()


def test_connections_join_while_they_help(cluster: Cluster) -> None:
    """A long bootstrap is tried with a second connection; both sides show how many there are."""
    primary, replica, proxy = joining(cluster, 6_000_000, {**SLOW, "copy_bytes_per_second": 500_000})
    try:
        replica.spawn()
        eventually(lambda: (primary.status()["replicas"] or [{}])[0].get("connections") == 2)
        assert replica.status()["bootstrap"]["connections"] == 2
        primary.ask("REPLICAD.THROTTLE", "0")
        follows_when_there(replica, primary)
    finally:
        proxy.close()


def test_a_bootstrap_is_given_up_after_its_time(cluster: Cluster) -> None:
    """Nobody comes back for the copy: its directory goes, its slot lets go and says why."""
    link = {**SLOW, "copy_bytes_per_second": 100_000, "copy_keep_seconds": 0.5}
    primary, replica, proxy = joining(cluster, 3_000_000, link)
    proxy.close()
    replica.keys["primary"] = f"{HOST}:{cluster.replication_port}"
    replica.configure({"link": link})
    replica.spawn()
    eventually(lambda: bool((primary.status()["replicas"] or [{}])[0].get("moved_bytes")))
    replica.kill()
    eventually(lambda: not list((primary.data / "bootstrap").iterdir()))
    (entry,) = primary.status()["replicas"]
    assert "given up" in entry["slot_reason"]


def follows_when_there(replica: Daemon, primary: Daemon) -> None:
    eventually(replica.serves)
    follows(replica, primary)


@pytest.mark.parametrize("half_open", [False, True])
def test_a_bootstrap_whose_link_goes_silent(cluster: Cluster, half_open: bool) -> None:
    """A link that says nothing any more is given up on both sides; the bootstrap goes on over a new one."""
    link = {**SLOW, "copy_bytes_per_second": 1_000_000, "idle_seconds": 0.5}
    primary, replica, proxy = joining(cluster, 3_000_000, link)
    try:
        replica.spawn()
        eventually(lambda: bool((primary.status()["replicas"] or [{}])[0].get("moved_bytes")))
        proxy.silent = True
        before = proxy.connections
        eventually(lambda: len(primary.events("replication.session_ended")) > 0)
        if not half_open:
            proxy.cut()
        proxy.silent = False
        eventually(lambda: proxy.connections > before)
        follows_when_there(replica, primary)
    finally:
        proxy.close()
