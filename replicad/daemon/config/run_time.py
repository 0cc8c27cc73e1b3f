"""Which keys a running node takes over when its configuration is read again, and which need a restart.

A test holds that every key is in one of the two tables. `daemon/reload.py` knows the parts that take the
values over.
"""

from __future__ import annotations

from collections.abc import Mapping

from replicad.daemon.config.keys import NAME, KeyPath

AT_RUN_TIME: Mapping[str, frozenset[str]] = {
    "store": frozenset(
        {
            "disk_reserve_bytes",
            "log_retention_bytes",
            "log_retention_seconds",
            "log_disk_floor_bytes",
        }
    ),
    "link": frozenset(
        {
            "synchronous",
            "synchronous_level",
            "synchronous_seconds_max",
            "stale_reads",
            "max_staleness_seconds",
            "apply_delay_seconds",
            "apply_delay_bytes_max",
            "copy_bytes_per_second",
            "slot_log_bytes_max",
            "slot_idle_seconds_max",
            "copy_keep_seconds",
        }
    ),
    "verification": frozenset(
        {
            "interval_seconds",
            "bytes_per_second",
            "section_seconds",
            "differences_max",
            "on_divergence",
            "repair",
        }
    ),
    "clients": frozenset(
        {"clients_max", "buffered_bytes_max", "output_seconds_max", "input_seconds_max", "slow_seconds"}
    ),
    "backup": frozenset(
        {
            "target",
            "keep",
            "max_background_operations",
            "read_bytes_per_second",
            "write_bytes_per_second",
            "catch_up_from",
            "archive_seconds",
            "archive_hold_bytes_max",
            "keep_log_seconds",
            "keep_log_backups",
        }
    ),
    # Whole tables: each is read anew. TLS as such cannot begin or end at run time: see `changes.py`.
    "": frozenset({"users", "links"}),
    "tls": frozenset(
        {
            *("cert_file", "key_file", "ca_file", "certificates", "certificate_users", "allow"),
            *("clients", "replication", "http"),
        }
    ),
    "log": frozenset({"level"}),
}
"""By section; "" has the keys before the first section, and tables of any name."""

AFTER_RESTART: Mapping[str, frozenset[str]] = {
    "": frozenset(
        {
            "data",
            "name",
            "listen",
            "http",
            "primary",
            "from_backup",
            "replication",
            "take_role",
            "insecure",
            "announce",
            "listen_unix",
            "listen_unix_mode",
        }
    ),
    "tls": frozenset({"reload_seconds"}),
    "store": frozenset(
        {
            # Files have what these say, or memory is laid out by it.
            *("durability", "wal_dir", "compression", "memtable_bytes", "memtables_max", "block_cache_bytes"),
            *("block_bytes", "bloom_bits_per_key", "table_bytes", "segment_bytes", "families"),
            *("level0_compaction_tables", "level0_stall_tables", "level_base_bytes", "level_multiplier"),
            "clock_jump_seconds_max",
        }
    ),
    "link": frozenset(
        {
            # Both sides of a session go by these from its beginning on.
            *("heartbeat_seconds", "idle_seconds", "connect_seconds", "handshake_seconds", "send_seconds"),
            *("backoff_seconds_min", "backoff_seconds_max", "stopped_retry_seconds", "ack_seconds", "ship"),
            *("catch_up_seconds_max", "chunk_bytes", "window_bytes", "file_chunk_bytes"),
            *("copy_window_bytes", "copy_connections_max", "free_bytes_min", "link_silence_seconds_max"),
        }
    ),
    "roles": frozenset(
        {"stood_still_seconds", "ask_seconds", "when_alone", "meet_seconds", "switchover_seconds"}
    ),
    # What a leader promised by its lease is as long as it said when it got that.
    "failover": frozenset(
        {
            *("etcd", "user", "password_file", "ca_file", "cert_file", "key_file", "service_name"),
            *("ttl_seconds", "keepalive_seconds", "margin_seconds", "candidate", "priority", "lag_bytes_max"),
        }
    ),
    "clients": frozenset(
        {
            # The kernel's parsers and queues are made with these.
            *("arguments_max", "bulk_bytes_max", "request_bytes_max", "inline_bytes_max"),
            *("reply_bytes_max", "output_bytes_max", "threads_max"),
        }
    ),
    # The store asks the archive's hold from its opening on.
    "backup": frozenset({"archive_log"}),
    "log": frozenset({"format"}),
}
"""By section; "" has the keys before the first section."""


def unit_of_change(path: KeyPath) -> tuple[str, str]:
    """(section, name) under which the tables have a key: it changes together with all below that."""
    return ("", path[0]) if len(path) == 1 or path[1] == NAME else (path[0], path[1])


def changes_at_run_time(section: str, name: str) -> bool:
    return name in AT_RUN_TIME.get(section, frozenset())
