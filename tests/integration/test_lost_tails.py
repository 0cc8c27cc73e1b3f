"""Under "async": a primary that lost its last writes with its power, as real processes.

A loss of power is made of a kill: frames are cut off the end of the log, and the record says that it was
another run of the operating system.
"""

from __future__ import annotations

from dataclasses import replace

from replicad import kernels
from replicad.env import Env
from replicad.state import NodeState
from replicad.store.wal.segment import HEADER_BYTES
from tests.support.nodes.daemons import Cluster, Daemon, Tables, follows, sequence_of
from tests.support.waiting import eventually

ASYNC: Tables = {"store": {"durability": "async"}, "roles": {"ask_seconds": 0.5}}
KEYS = 40
LOST = 10


def running(cluster: Cluster) -> tuple[Daemon, Daemon]:
    """A primary and its replica, which has all that was written."""
    primary = cluster.primary(tables=ASYNC).start()
    replica = cluster.replica(tables=ASYNC).start()
    with primary.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", number)
    follows(replica, primary)
    return primary, replica


def lose_power(daemon: Daemon) -> None:
    daemon.kill()
    newest = max(path for path in (daemon.data / "wal").glob("*.log"))
    content = newest.read_bytes()
    frames = kernels.list_frames(content[HEADER_BYTES:])
    begin = frames[-LOST][5] - kernels.FRAME_HEADER_BYTES
    newest.write_bytes(content[: HEADER_BYTES + begin])
    state = NodeState(Env(), daemon.data)
    role = state.view().role
    assert role is not None
    assert role.ahead_epoch == 1
    state.put_role(replace(role, ahead_boot="another run of the system"))
    state.close()


def keys(daemon: Daemon) -> int:
    with daemon.client() as client:
        return sum(client.get(f"key:{number}") is not None for number in range(KEYS))


def test_a_replica_gives_back_what_its_primary_lost(cluster: Cluster) -> None:
    """The primary goes on with nothing lost, in a new epoch."""
    primary, replica = running(cluster)
    lose_power(primary)
    primary.start()
    primary.logged("role.tail_given_back")
    primary.ask("SET", "after", "1")
    assert keys(primary) == KEYS
    assert primary.status()["epoch"] == 2
    follows(replica, primary)
    assert keys(replica) == KEYS
    assert replica.events("replication.discarded") == []
    assert [entry["state"] for entry in primary.status()["replicas"]] == ["streaming"]
    assert replica.status()["replicas"] == []


def test_a_replica_that_could_not_be_asked_saves_its_tail(cluster: Cluster) -> None:
    """The primary goes on at what it has, and the replica rewinds to that."""
    primary, replica = running(cluster)
    replica.kill()
    lose_power(primary)
    primary.start()
    primary.logged("role.epoch_after_loss")
    assert keys(primary) == KEYS - LOST
    primary.ask("SET", "after", "1")
    replica.start()
    replica.logged("replication.discarded")
    follows(replica, primary)
    assert keys(replica) == KEYS - LOST
    assert replica.status()["epoch"] == 2
    assert list((replica.data / "discarded").iterdir())


def test_a_kill_loses_nothing_and_begins_no_epoch(cluster: Cluster) -> None:
    """What a process wrote before it was killed is in the page cache; after a clean stop nothing is asked."""
    primary, replica = running(cluster)
    primary.kill()
    primary.start()
    primary.ask("SET", "after", "1")
    assert (keys(primary), primary.status()["epoch"]) == (KEYS, 1)
    follows(replica, primary)
    assert primary.terminate() == 0
    state = NodeState(Env(), primary.data)
    role = state.view().role
    state.close()
    assert role is not None
    assert role.ahead_boot is None
    primary.start()
    assert primary.status()["epoch"] == 1
    assert primary.events("role.tail_sought") == []


def test_a_search_that_was_cut_short_is_begun_again(cluster: Cluster) -> None:
    """A primary that may not be alone waits; killed or stopped meanwhile, it is the same database still."""
    waits: Tables = {**ASYNC, "roles": {"when_alone": "wait", "ask_seconds": 0.2, "meet_seconds": 0.2}}
    primary, replica = running(cluster)
    database = primary.status()["database_id"]
    replica.kill()
    lose_power(primary)
    primary.configure(waits)
    primary.start()
    primary.logged("role.alone")
    primary.kill()
    primary.start()
    assert primary.status()["standing"] == "doubting"
    assert primary.terminate() == 0
    primary.start()
    replica.start()
    primary.logged("role.tail_given_back")
    eventually(lambda: primary.status()["standing"] == "primary")
    assert primary.status()["database_id"] == database
    assert keys(primary) == KEYS
    follows(replica, primary)


def test_a_replica_that_wants_durable_log_gets_it(cluster: Cluster) -> None:
    """No record is made for it, so a loss of power costs no epoch."""
    primary = cluster.primary(tables=ASYNC).start()
    replica = cluster.replica(tables={**ASYNC, "link": {"ship": "durable"}}).start()
    primary.ask("SET", "key", "1")
    follows(replica, primary)
    assert sequence_of(replica) == sequence_of(primary)
    primary.kill()
    state = NodeState(Env(), primary.data)
    role = state.view().role
    state.close()
    assert role is not None
    assert role.ahead_boot is None
