"""INFO, as programs that watch Redis read it."""

from __future__ import annotations

import os
import re

import pytest
import redis

from replicad.server.interfaces import ReplicaView
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer


def sections(client: redis.Redis, *names: str) -> dict[str, dict[str, str]]:
    """The fields by section, as text."""
    shown = str(client.execute_command("INFO", *names))
    found: dict[str, dict[str, str]] = {}
    for block in shown.split("# ")[1:]:
        title, *lines = block.strip().split("\r\n")
        found[title] = dict(line.split(":", 1) for line in lines)
    return found


@pytest.fixture
def plain(client: redis.Redis) -> redis.Redis:
    """Its INFO is text."""
    client.set_response_callback("INFO", lambda text, **_: text if isinstance(text, str) else text.decode())
    return client


def test_all_sections_are_there_for_those_who_ask(plain: redis.Redis) -> None:
    """INFO alone leaves out what has a line for each command, as Redis does."""
    plain.get("k")
    everything, default = sections(plain, "all"), sections(plain)
    assert set(everything) - set(default) == {"Commandstats", "Latencystats"}
    assert {"Server", "Clients", "Memory", "Stats", "Replication", "Cpu", "Errorstats"} < set(default)
    assert set(sections(plain, "commandstats")) == {"Commandstats"}


def test_commands_have_calls_times_and_failures(plain: redis.Redis, server: RunningServer) -> None:
    """Each in Redis's form; a command that nobody called is not listed."""
    plain.set("k", "text")
    for _ in range(4):
        plain.get("k")
    for request in ("INCR k", "GET"):
        with pytest.raises(redis.ResponseError):
            plain.execute_command(*request.split())
    found = sections(plain, "all")
    form = r"calls=(\d+),usec=(\d+),usec_per_call=(\d+\.\d\d),rejected_calls=(\d+),failed_calls=(\d+)"
    calls, microseconds, _, rejected, failed = _parsed(form, found["Commandstats"]["cmdstat_get"])
    assert (calls, rejected, failed) == (4, 1, 0) and microseconds > 0
    assert _parsed(form, found["Commandstats"]["cmdstat_incr"])[-1] == 1
    assert "cmdstat_mset" not in found["Commandstats"]
    assert _parsed(r"count=(\d+)", found["Errorstats"]["errorstat_ERR"])[0] >= 2
    median, high, highest = _parsed(
        r"p50=([\d.]+),p99=([\d.]+),p99.9=([\d.]+)", found["Latencystats"]["latency_percentiles_usec_get"]
    )
    assert 0 < median <= high <= highest


def _parsed(form: str, text: str) -> list[float]:
    match = re.fullmatch(form, text)
    assert match is not None, text
    return [float(each) for each in match.groups()]


def test_memory_and_processor_are_the_processs(plain: redis.Redis) -> None:
    found = sections(plain)
    memory, cpu = found["Memory"], found["Cpu"]
    assert int(memory["used_memory_rss"]) > 1 << 20 and float(memory["mem_fragmentation_ratio"]) > 0
    assert float(cpu["used_cpu_user"]) > 0 and float(cpu["used_cpu_sys"]) >= 0
    assert int(found["Server"]["process_id"]) == os.getpid() and len(found["Server"]["run_id"]) == 40


def test_bytes_and_keys_are_counted(plain: redis.Redis) -> None:
    """MGET's keys too; nothing expires and nothing is evicted."""
    plain.set("k", "v")
    plain.mget("k", "absent")
    stats = sections(plain)["Stats"]
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == ("1", "1")
    assert (stats["expired_keys"], stats["evicted_keys"]) == ("0", "0")
    assert int(stats["total_net_input_bytes"]) > 0 and int(stats["total_net_output_bytes"]) > 0
    assert int(stats["total_error_replies"]) >= 0


def test_replication_is_shown_on_both_sides(start: StartServer) -> None:
    """A primary lists its replicas with their lag; a replica says when it last heard of its primary, and
    lists the replicas that it feeds."""
    replica = ReplicaView(
        node_id="ab",
        host="192.0.2.1",
        port=6390,
        state="online",
        acknowledged_sequence=7,
        lag_seconds=3,
    )
    node = FakeNode(followers=[replica])
    node.traffic.full_copies["empty-replica"] = 2
    node.traffic.streams, node.traffic.stream_sent_bytes, node.traffic.copy_received_bytes = 5, 100, 30
    with redis.Redis(port=start(node=node).port, protocol=3) as client:
        found = client.info("all")
        shown = {"ip": "192.0.2.1", "port": 6390, "state": "online", "offset": 7, "lag": 3, "id": "ab"}
        assert found["slave0"] == shown
        assert (found["sync_full"], found["sync_partial_ok"]) == (2, 3)
        assert (found["total_net_repl_output_bytes"], found["total_net_repl_input_bytes"]) == (100, 30)
        assert "master_last_io_seconds_ago" not in found

        node.role, node.is_writable, node.primary_heard_seconds = "replica", False, 2.7
        found = client.info("all")
        assert (found["role"], found["master_last_io_seconds_ago"]) == ("slave", 2)
        assert found["connected_slaves"] == 1 and found["slave0"]["lag"] == 3
        node.primary_heard_seconds = None
        assert client.info("replication")["master_last_io_seconds_ago"] == -1
