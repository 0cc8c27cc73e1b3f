"""What a node exports to Prometheus."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from replicad.daemon.metrics.catalogue import METRICS, samples
from replicad.daemon.parts import NodeParts
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.waiting import until

FREE = {
    "leader": None,
    "epoch": 7,
    "paused": True,
    "absent": ["ab"],
    "next": [{"not_eligible": None}, {"not_eligible": "it has no data yet"}],
}
"""What etcd says when nobody leads."""
Found = dict[tuple[str, ...], float]


def scrape(node: NodeParts) -> str:
    return generate_latest(node.load_registry()).decode()


def exported(node: NodeParts) -> Found:
    """Values by the name of the sample and the values of its labels, by the names of these."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(scrape(node))
        for sample in family.samples
    }


def test_names_follow_prometheus() -> None:
    """Counters, and only they, end in _total; units are base units, and last; every metric has its help."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"replicad_[a-z_]+", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.kind != "histogram" or metric.name.endswith("_seconds"), metric.name
        assert not re.search("_(ms|us|millis|mb|kib|percent)(_|$)", metric.name), metric.name
        assert metric.help.endswith(".") and len(metric.help) > 10, metric.name


def test_a_node_without_data_is_scraped() -> None:
    """What is not known has no sample."""
    found = [sample.metric.name for sample in samples({"role": "replica", "standing": "following"})]
    assert "replicad_build_info" in found and "replicad_applied_sequence" not in found


@pytest.mark.parametrize(
    ("document", "name", "labels", "value"),
    [
        ({"store": None, "failure": "sync"}, "replicad_store_failed", (), 1),
        ({"standing": "fenced"}, "replicad_node_standing", ("fenced",), 1),
        ({"standing": "fenced"}, "replicad_node_standing", ("primary",), 0),
        ({"fenced_by_epoch": 7}, "replicad_node_fenced", (), 1),
        ({"link": {"state": "streaming"}}, "replicad_link_state", ("streaming",), 1),
        ({"link": {"state": "down", "lag_seconds": 2.5}}, "replicad_link_lag_seconds", (), 2.5),
        ({"replicas": [{"node_id": "ab", "slot": "lost"}]}, "replicad_slot_state", ("ab", "lost"), 1),
        (
            {"feeds": [{"name": "search", "slot": "lost", "state": "away"}]},
            "replicad_feed_slot_state",
            ("search", "lost"),
            1,
        ),
        ({"replicas": [{"node_id": "ab", "state": "away"}]}, "replicad_replica_streams", ("ab",), 0),
        ({"refused_input": {"http": {"host": 3}}}, "replicad_refused_input_total", ("http", "host"), 3),
        ({"backup": {"last": {"error": "full"}}}, "replicad_backup_failed", (), 1),
        ({"backup": {"making": {"size_bytes": 5}}}, "replicad_backup_done_bytes", (), 5),
        ({"log_archive": {"state": "failing", "gap": [1, 2]}}, "replicad_archive_gap", (), 1),
        ({"verification": {"sound": False}}, "replicad_verification_sound", (), 0),
        ({"bootstrap": {"size_bytes": 5}, "link": {"state": "x"}}, "replicad_bootstrap_fetched_bytes", (), 5),
        ({"failover": {"unreachable": "refused"}}, "replicad_failover_etcd_unreachable", (), 1),
        ({"failover": {"may_acknowledge_seconds": 3.5}}, "replicad_failover_right_seconds", (), 3.5),
        ({"failover": {"cluster": FREE}}, "replicad_failover_leader_known", (), 0),
        ({"failover": {"cluster": FREE, "vouches_for": "ab"}}, "replicad_failover_leader_known", (), 1),
        ({"failover": {"cluster": FREE}}, "replicad_failover_paused", (), 1),
        ({"failover": {"cluster": FREE}}, "replicad_failover_members_absent", (), 1),
        ({"failover": {"cluster": FREE}}, "replicad_failover_candidates", (), 1),
        ({"failover": {"cluster": FREE}}, "replicad_failover_claimed_epoch", (), 7),
        ({"traffic": {"full_copies": {"log-gone": 2}}}, "replicad_full_copies_total", ("log-gone",), 2),
    ],
)
def test_values_come_from_the_document(
    document: dict[str, object], name: str, labels: tuple[str, ...], value: float
) -> None:
    """Each in its own unit, with its labels."""
    document = {"role": "primary", "position": None} | document
    if document.get("store", 0) is None:
        del document["store"]
    found = {(each.metric.name, each.labels): each.value for each in samples(document)}
    assert found[name, labels] == value


def test_a_leader_is_known_when_it_has_begun() -> None:
    """A node that has claimed the leadership takes no writes yet."""
    for begun in (True, False):
        document = {"failover": {"leads": True, "cluster": FREE | {"leader": {"begun": begun}}}}
        found = {each.metric.name: each.value for each in samples(document)}
        assert found["replicad_failover_leader_known"] == begun
        assert found["replicad_failover_leads"] == 1


def test_what_etcd_says_has_no_sample_while_it_does_not_answer() -> None:
    """A node that is cut off from etcd would say for ever that there is a leader."""
    cluster = FREE | {"leader": {"begun": True}}
    found = {each.metric.name for each in samples({"failover": {"unreachable": "no", "cluster": cluster}})}
    assert "replicad_failover_etcd_unreachable" in found
    assert not found & {"replicad_failover_leader_known", "replicad_failover_paused"}


async def test_a_primary_and_its_replica_export_what_they_do(tmp_path: Path) -> None:
    """The primary shows its replica by stage and what it sent; the replica shows its link and what it got."""
    async with primary(tmp_path / "p") as node, replica_of(node, tmp_path / "r") as replica:
        await until(lambda: streams(replica, b"p"))
        assert node.store is not None
        node.store.put(b"more", b"data")
        await until(lambda: replica.store is not None and replica.store.get(b"more") == b"data")
        name = replica.identity.node.hex()
        await until(lambda: exported(node)["replicad_replica_lag_sequences", name, "durable"] == 0)
        found = exported(node)
        assert found["replicad_replica_streams", name] == 1
        assert found["replicad_slot_state", name, "reserved"] == 1
        assert found["replicad_slot_safe_bytes", name] > 0
        assert found["replicad_full_copies_total", "empty-replica"] == 1
        assert found["replicad_streams_total",] == 1
        assert found["replicad_stream_sent_batches_total",] == 1
        assert found["replicad_copy_sent_bytes_total",] > 0
        assert found["replicad_log_sync_seconds_count",] >= 2
        assert found["replicad_node_takes_writes",] == 1
        assert found["process_resident_memory_bytes",] > 0

        there = exported(replica)
        assert there["replicad_link_state", "streaming"] == 1
        assert (
            there["replicad_stream_received_bytes_total",] == found["replicad_stream_sent_bytes_total",] > 0
        )
        assert there["replicad_copy_received_bytes_total",] == found["replicad_copy_sent_bytes_total",]
        assert there["replicad_apply_seconds_count",] == 1
        assert there["replicad_node_takes_writes",] == 0


async def test_refused_input_is_counted_by_port_and_kind(tmp_path: Path) -> None:
    """Bytes that are not RESP, and bytes that are not the wire's."""
    async with primary(tmp_path / "p") as node:
        for address in (node.addresses.clients, node.addresses.replication):
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"*x\r\n" * 100)
            await reader.read()
            writer.close()
        found = exported(node)
        assert found["replicad_refused_input_total", "malformed", "clients"] == 1
        assert found["replicad_refused_input_total", "protocol", "replication"] == 1
