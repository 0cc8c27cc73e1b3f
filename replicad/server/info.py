"""INFO: the node in lines of name:value, under Redis's names where they fit."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable, Sequence

from replicad.server.client_pause import Paused
from replicad.server.info_commands import commandstats, errorstats, latencystats
from replicad.server.server_state import ServerState

REDIS_VERSION = "7.2.0"
"""The version of Redis whose commands ours follow; clients choose features by it."""

Fields = dict[str, object]

_PAUSED_ACTIONS = {Paused.NOTHING: "none", Paused.WRITES: "write", Paused.ALL: "all"}


def _server(server: ServerState) -> Fields:
    return {
        "redis_version": REDIS_VERSION,
        "replicad_version": server.version,
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64,
        "process_id": os.getpid(),
        "run_id": server.run_id,
        "tcp_port": server.address[1],
        "uptime_in_seconds": int(server.now() - server.started_at),
        "uptime_in_days": int(server.now() - server.started_at) // 86400,
        "executable": sys.executable,
        "config_file": "",
    }


def resident_bytes() -> int | None:
    """What the process has in memory now; None where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None


def _clients(server: ServerState) -> Fields:
    return {
        "connected_clients": len(server.clients),
        "maxclients": server.options.clients_max,
        "blocked_clients": sum(client.is_busy for client in server.clients) + server.pause.waiting,
        "clients_waiting_for_commit": len(server.committer.holding),
        "scan_cursors": len(server.cursors),
        "paused_reason": "client_pause" if server.pause.paused else "none",
        "paused_actions": _PAUSED_ACTIONS[server.pause.paused],
        "paused_timeout_milliseconds": round(server.pause.seconds_left * 1000),
    }


def _memory(server: ServerState) -> Fields:
    parts = {name: size for name, size in server.store.stats()["memory"].items() if name.endswith("_bytes")}
    capacity = parts.pop("block_cache_capacity_bytes", 0)
    used = sum(parts.values())
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resident = resident_bytes() or peak_kib * 1024
    return {
        "used_memory": used,
        "used_memory_human": f"{used / 1048576:.2f}M",
        "used_memory_rss": resident,
        "used_memory_peak": peak_kib * 1024,
        "mem_fragmentation_ratio": round(resident / max(1, used), 2),
        "block_cache_capacity_bytes": capacity,
        "maxmemory": 0,
        "maxmemory_policy": "noeviction",
        "lazyfree_pending_objects": 0,
        **parts,
    }


def _persistence(server: ServerState) -> Fields:
    store = server.store
    return {
        "loading": 0,
        "rdb_bgsave_in_progress": 0,
        "rdb_changes_since_last_save": 0,
        "rdb_last_save_time": 0,
        "rdb_last_bgsave_status": "ok",
        "aof_enabled": 1,
        "aof_rewrite_in_progress": 0,
        "aof_last_write_status": "ok" if store.failed is None else "err",
        "durability": server.durability,
        "appended_sequence": store.appended_sequence,
        "visible_sequence": store.latest_sequence,
        "durable_sequence": store.durable_sequence,
        "stalled": int(bool(store.stalled)),
        "failed": int(store.failed is not None),
    }


def _stats(server: ServerState) -> Fields:
    stats, traffic = server.stats, server.node.traffic
    return {
        "total_connections_received": stats.connections,
        "rejected_connections": stats.rejected,
        "total_commands_processed": stats.counts.commands,
        "instantaneous_ops_per_sec": stats.commands_per_second(server.now()),
        "total_net_input_bytes": stats.counts.input_bytes,
        "total_net_output_bytes": stats.counts.output_bytes,
        "total_net_repl_input_bytes": traffic.received_bytes,
        "total_net_repl_output_bytes": traffic.sent_bytes,
        "sync_full": traffic.full_copies.total(),
        "sync_partial_ok": traffic.resumed,
        "sync_partial_err": 0,
        "total_error_replies": stats.error_replies,
        "keyspace_hits": stats.counts.hits,
        "keyspace_misses": stats.counts.misses,
        "expired_keys": 0,
        "evicted_keys": 0,
        "total_commits": stats.commits,
        "total_groups": stats.groups,
        "clients_closed_for_limits": stats.closed_for_limits,
        "internal_errors": stats.errors,
    }


def _replication(server: ServerState) -> Fields:
    node = server.node
    position = server.store.visible_position

    # Programs that watch Redis know these names, so a primary is "master" here, and a replica "slave".
    fields: Fields = {"role": "master" if node.role == "primary" else "slave"}
    if node.role == "replica":
        host, port = node.primary_address or ("", 0)
        heard = node.primary_heard_seconds
        fields |= {
            "master_host": host,
            "master_port": port,
            "master_link_status": "up" if node.link_state == "connected" else "down",
            "master_link_state": node.link_state,
            "master_last_io_seconds_ago": -1 if heard is None else int(heard),
            "master_sync_in_progress": int(node.link_state == "sync"),
            "slave_data_stale": int(node.stale_because is not None),
            "slave_data_stale_reason": node.stale_because or "",
            "slave_reads_refused": int(node.reads_refused is not None),
            "slave_read_only": int(not node.is_writable),
            "slave_repl_offset": position.sequence,
        }

    # A replica may have replicas, too.
    replicas = node.replicas()
    fields["connected_slaves"] = len(replicas)
    for index, replica in enumerate(replicas):
        fields[f"slave{index}"] = (
            f"ip={replica.host},port={replica.port},state={replica.state},"
            f"offset={replica.acknowledged_sequence},lag={replica.lag_seconds},id={replica.node_id}"
        )

    # An id of replication has 40 hexadecimal digits in Redis; a database's has 32.
    return fields | {
        "master_replid": server.store.database_id.hex() + "00000000",
        "master_replid2": "0" * 40,
        "master_repl_offset": position.sequence,
        "second_repl_offset": -1,
        "position": str(position),
    }


def _cpu(server: ServerState) -> Fields:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "used_cpu_sys": own.ru_stime,
        "used_cpu_user": own.ru_utime,
        "used_cpu_sys_children": children.ru_stime,
        "used_cpu_user_children": children.ru_utime,
    }


def _cluster(server: ServerState) -> Fields:
    return {"cluster_enabled": 0}


def _keyspace(server: ServerState) -> Fields:
    """Families that were counted; the age is that of the oldest count."""
    counts = {family: server.key_count(family) for family in server.store.families.values()}
    known = {family: count for family, count in counts.items() if count.keys is not None}
    if not known:
        return {}
    fields: Fields = {"keys_counted_seconds_ago": round(max(c.age_seconds for c in known.values()), 3)}
    for family, count in known.items():
        if count.keys:
            fields[f"db{family}"] = f"keys={count.keys},expires=0,avg_ttl=0"
    return fields


SECTIONS: dict[str, Callable[[ServerState], Fields]] = {
    "server": _server,
    "clients": _clients,
    "memory": _memory,
    "persistence": _persistence,
    "stats": _stats,
    "replication": _replication,
    "cpu": _cpu,
    "commandstats": commandstats,
    "errorstats": errorstats,
    "latencystats": latencystats,
    "cluster": _cluster,
    "keyspace": _keyspace,
}
ONLY_IN_ALL = frozenset({"commandstats", "latencystats"})
"""As in Redis: a line for each command is shown to those who ask for it."""


def render_info(server: ServerState, sections: Sequence[str]) -> str:
    """The chosen sections; all of them for "all" or "everything", and most for none or "default"."""
    everything = not {"all", "everything"}.isdisjoint(sections)
    default = not sections or "default" in sections
    parts = []
    for name, fields in SECTIONS.items():
        if everything or name in sections or (default and name not in ONLY_IN_ALL):
            lines = [f"{field}:{value}" for field, value in fields(server).items()]
            parts.append("\r\n".join([f"# {name.capitalize()}", *lines, ""]))
    return "\r\n".join(parts)
