"""redis_exporter watches a primary and its replica: what its stock dashboards draw is there."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.integration.test_http import fetch
from tests.support.nodes.daemons import Daemon
from tests.support.waiting import eventually

EXPORTER = "prometheus-redis-exporter"

pytestmark = pytest.mark.skipif(shutil.which(EXPORTER) is None, reason=f"{EXPORTER} is not installed")

DRAWN = re.findall(
    r"\w+",
    """
    redis_blocked_clients redis_commands_duration_seconds_total redis_commands_processed_total
    redis_commands_total redis_connected_clients redis_connected_slaves redis_connections_received_total
    redis_cpu_sys_seconds_total redis_cpu_user_seconds_total redis_db_keys redis_errors_total
    redis_evicted_keys_total redis_expired_keys_total redis_keyspace_hits_total
    redis_keyspace_misses_total redis_latency_percentiles_usec redis_mem_fragmentation_ratio
    redis_memory_max_bytes redis_memory_used_bytes redis_memory_used_peak_bytes
    redis_memory_used_rss_bytes redis_net_input_bytes_total redis_net_output_bytes_total
    redis_rejected_connections_total redis_commands_failed_calls_total
    redis_commands_rejected_calls_total redis_replica_resyncs_full redis_replica_partial_resync_accepted
    redis_uptime_in_seconds
    """,
)


@contextlib.contextmanager
def exporter_of(node: Daemon, directory: Path) -> Iterator[int]:
    """Its port."""
    (port,) = free_ports(1)
    with open(directory / f"exporter-{port}.log", "wb") as log:
        process = subprocess.Popen(
            [EXPORTER, f"-redis.addr=redis://{HOST}:{node.port}", f"-web.listen-address={HOST}:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


def exported(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name and label values; empty while the exporter starts."""
    try:
        _, text = fetch(port, "/metrics")
    except OSError:
        return {}
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_what_the_stock_dashboards_draw_is_there(tmp_path: Path) -> None:
    """With the values of what clients did, on the primary and on a replica."""
    client_port, feed, replica_port = free_ports(3)
    primary = Daemon(
        tmp_path, "primary", "p", {}, listen=f"{HOST}:{client_port}", replication=f"{HOST}:{feed}"
    )
    replica = Daemon(tmp_path, "replica", "r", {}, listen=f"{HOST}:{replica_port}", primary=f"{HOST}:{feed}")
    with contextlib.ExitStack() as stack:
        for daemon in (primary, replica):
            stack.callback(daemon.end)
            daemon.start()
        with primary.client() as client:
            for n in range(10):
                client.set(f"k{n}", n)
            client.mget("k1", "k2", "absent")
            with pytest.raises(redis.ResponseError):
                client.lpush("list", "x")
            eventually(lambda: client.dbsize() == 10)
        eventually(lambda: replica.status()["link"]["state"] == "streaming")

        port = stack.enter_context(exporter_of(primary, tmp_path))
        eventually(lambda: exported(port).get("redis_up") == {(): 1.0})
        found = exported(port)
        assert [name for name in DRAWN if name not in found] == []
        assert found["redis_commands_total"]["set",] == 10
        assert found["redis_commands_duration_seconds_total"]["set",] > 0
        assert found["redis_keyspace_hits_total"][()] == 2 and found["redis_keyspace_misses_total"][()] == 1
        assert found["redis_connected_slaves"][()] == 1
        assert found["redis_db_keys"]["db0",] == 10
        assert found["redis_errors_total"]["ERR",] >= 1
        assert found["redis_replica_resyncs_full"][()] == 1
        assert any(name.startswith("redis_connected_slave_") for name in found)

        port = stack.enter_context(exporter_of(replica, tmp_path))
        eventually(lambda: exported(port).get("redis_up") == {(): 1.0})
        found = exported(port)
        assert set(found["redis_master_link_up"].values()) == {1.0}
        assert all(seconds < 60 for seconds in found["redis_master_last_io_seconds_ago"].values())
        assert any("slave" in labels for labels in found["redis_instance_info"])
