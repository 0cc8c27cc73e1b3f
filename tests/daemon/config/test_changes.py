"""What a configuration that is read again changes at once, and what needs a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.config import ReplicaConfig, load_replica
from replicad.daemon.config.changes import compare
from replicad.daemon.config.keys import keys_of
from replicad.daemon.config.run_time import AFTER_RESTART, AT_RUN_TIME, unit_of_change
from replicad.errors import ConfigError
from replicad.options import FamilyOptions


def config(**flags: Any) -> ReplicaConfig:
    return load_replica(None, **{"data": Path("/d"), "primary": ":1"} | flags)


def test_of_every_key_it_is_known() -> None:
    """Each is in one of the two tables, and no other is."""
    at_run_time = {(section, name) for section, names in AT_RUN_TIME.items() for name in names}
    after_restart = {(section, name) for section, names in AFTER_RESTART.items() for name in names}
    keys = {unit_of_change(key.path) for key in keys_of(ReplicaConfig)}
    assert not at_run_time & after_restart
    assert at_run_time | after_restart == keys


TLS = {"tls__cert_file": "/c", "tls__key_file": "/k", "tls__ca_file": "/a"}

CASES: list[tuple[dict[str, Any], dict[str, Any], list[str], list[str]]] = [
    # the old one, the new one, what is taken over, what needs a restart
    ({}, {}, [], []),
    ({}, {"clients__clients_max": 5}, ["clients.clients_max"], []),
    ({"clients__clients_max": 5}, {}, ["clients.clients_max"], []),
    ({}, {"listen": ":7"}, [], ["listen"]),
    ({}, {"primary": ":2", "name": "n"}, [], ["name", "primary"]),
    ({}, {"log__level": "debug", "log__format": "json"}, ["log.level"], ["log.format"]),
    ({}, {"store__log_retention_seconds": 5.0}, ["store.log_retention_seconds"], []),
    ({"store__log_retention_seconds": 5.0}, {}, ["store.log_retention_seconds"], []),
    ({}, {"store__families": {"a": {"block_bytes": 4096}}}, [], ["store.families"]),
    ({}, {"store__families": {}}, [], ["store.families"]),
    (
        {},
        {"link__copy_bytes_per_second": 9, "link__ship": "durable", "roles__ask_seconds": 9.0},
        ["link.copy_bytes_per_second"],
        ["link.ship", "roles.ask_seconds"],
    ),
    ({"backup__target": "/b"}, {"backup__target": "/c"}, ["backup.target"], []),
    (
        {},
        {"backup__target": "/b", "backup__archive_log": True},
        ["backup.target"],
        ["backup.archive_log"],
    ),
    ({}, {"users": {"a": {"roles": ["read"]}}}, ["users"], []),
    ({}, {"tls__http": {"enabled": False}, "tls__allow": ["n"]}, ["tls.allow", "tls.http"], []),
    (TLS, TLS | {"tls__cert_file": "/d"}, ["tls.cert_file"], []),
    ({}, TLS, [], ["tls.cert_file", "tls.key_file", "tls.ca_file"]),
    (TLS, TLS | {"tls__http": {"enabled": False}, "tls__allow": ["n"]}, [], ["tls.allow", "tls.http"]),
    ({}, {"take_role": True, "create": True, "take_role_now": True}, [], ["take_role"]),
]


@pytest.mark.parametrize(("old", "new", "changed", "needs_restart"), CASES)
def test_each_key_that_differs_is_taken_over_or_named(
    old: dict[str, Any], new: dict[str, Any], changed: list[str], needs_restart: list[str]
) -> None:
    """A key that is the same is neither."""
    found = compare(config(**old), config(**new))
    assert (list(found.changed), list(found.needs_restart)) == (changed, needs_restart)
    assert found.document() == {"changed": changed, "needs_restart": needs_restart}


def test_the_node_runs_with_what_it_took_over_and_waits_for_the_rest() -> None:
    """What needs a restart is named again the next time, what was taken over is not."""
    old, new = config(), config(listen=":7", clients__clients_max=5, clients__threads_max=5, name="n")
    running = compare(old, new).running
    assert (running.listen, running.name) == (old.listen, "")
    assert (running.clients.clients_max, running.clients.threads_max) == (5, old.clients.threads_max)
    assert compare(running, new).needs_restart == ("name", "listen", "clients.threads_max")
    assert compare(running, new).changed == ()
    assert compare(running, old).changed == ("clients.clients_max",)


def test_what_does_not_go_together_without_a_restart_is_refused() -> None:
    """The new heartbeat would allow the new limit; the one that the node runs with does not."""
    new = config(link__heartbeat_seconds=0.1, link__max_staleness_seconds=0.5)
    with pytest.raises(ConfigError, match=r"without a restart link\.max_staleness_seconds must be at least"):
        compare(config(), new)


def test_users_cannot_go_while_others_reach_the_node() -> None:
    """They may go together with the address; but the node has that one until its restart."""
    tls = {"tls__cert_file": "/c", "tls__key_file": "/k", "tls__replication": {"enabled": False}}
    old = config(listen="10.0.0.1:1", users={"a": {"roles": ["read"]}}, **tls)
    with pytest.raises(ConfigError, match=r"without a restart listen: 10\.0\.0\.1:1 is refused"):
        compare(old, config(**tls))


def test_families_are_compared_by_their_options() -> None:
    """The same options are the same, whatever they were made of."""
    families = {"a": {"block_bytes": 4096}}
    assert config(store__families=families).store.families == {"a": FamilyOptions(block_bytes=4096)}
    assert compare(config(store__families=families), config(store__families=families)).needs_restart == ()
