"""The daemons as processes: clean ends, exit codes, readiness, and hostile bytes on the replication port."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import socket
from pathlib import Path

import pytest
import redis

from replicad.cli.demonstration.ports import HOST
from replicad.cli.main import main
from replicad.replication.wire.messages import Hello, PositionClaim, encode
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.waiting import eventually


def test_sigterm_ends_both_cleanly(cluster: Cluster, primary: Daemon) -> None:
    """With clients and replicas connected both exit with 0, and start again with all that was said OK to."""
    replica = cluster.replica().start()
    with primary.client() as client, replica.client() as reader:
        client.set("k", "v")
        reader.ping()
        assert primary.terminate() == 0
        assert replica.terminate() == 0
    for daemon in (primary, replica):
        assert daemon.logged("daemon.stopped")
        daemon.start()
        assert not daemon.events("store.recovered")
        assert daemon.ask("GET", "k") == b"v"


def test_sigterm_while_there_is_no_primary(cluster: Cluster) -> None:
    """A replica that never found its primary says LOADING, says what it waits for, and ends with 0."""
    cluster.primary()
    replica = cluster.replica()
    replica.spawn()

    def waits() -> bool:
        try:
            return str(replica.status()["link"]["waits_for"]).startswith("the next attempt")
        except redis.ConnectionError:
            return False

    eventually(waits)
    assert not replica.serves()
    with pytest.raises(redis.exceptions.BusyLoadingError):
        replica.ask("GET", "k")
    assert replica.terminate() == 0


def test_shutdown_command_ends_the_primary(primary: Daemon) -> None:
    """SHUTDOWN is as clean as SIGTERM."""
    with primary.client() as client:
        client.set("k", "v")
        client.shutdown()
    assert primary.wait() == 0


def test_one_directory_has_one_daemon(cluster: Cluster, primary: Daemon) -> None:
    """A second daemon on the directory ends with 1 and names the first; the first is not disturbed."""
    second = cluster.replica("second")
    second.keys["data"] = primary.keys["data"]
    second.configure({})
    second.spawn()
    assert primary.process is not None
    pid = primary.process.pid
    assert second.wait() == 1
    assert f"process {pid}" in second.tail()
    assert primary.ask("PING")


def test_a_bad_configuration_ends_with_78(cluster: Cluster) -> None:
    """An address that is not loopback is refused with the reason, before anything is touched."""
    primary = cluster.primary()
    primary.keys["replication"] = "0.0.0.0:6381"
    primary.configure({})
    primary.spawn()
    assert primary.wait() == 78
    assert "replication: 0.0.0.0:6381 is refused" in primary.tail()
    assert not primary.data.exists()


def test_readiness_is_real(cluster: Cluster, tmp_path: Path) -> None:
    """READY=1 comes when clients are served from data, not before; STOPPING=1 when it ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        primary, replica = cluster.primary(), cluster.replica()
        replica.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        replica.spawn()
        first = manager.recv(1000)
        assert b"READY" not in first
        primary.start()
        while b"READY=1" not in manager.recv(1000):
            pass
        assert replica.serves()
        assert replica.terminate() == 0
        while b"STOPPING=1" not in manager.recv(1000):
            pass


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_failed_sync_ends_the_primary_with_74(cluster: Cluster) -> None:
    """After a failed fdatasync nothing is acknowledged; the process ends with its own code and says why."""
    primary = cluster.primary().start()
    with primary.client() as client:
        client.set("before", "1")
    assert primary.terminate() == 0
    primary.wrapper = ["strace", "-D", "-f", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=20+"]
    primary.start()
    with primary.client() as client, pytest.raises(Exception, match=r".+"):
        for number in range(100):
            client.set("after", number)
    assert primary.wait() == 74
    assert primary.logged("daemon.storage_failed")
    primary.wrapper = []
    primary.start()
    assert primary.ask("GET", "before") == b"1"


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_failed_sync_ends_a_replica_with_74(cluster: Cluster, primary: Daemon) -> None:
    """A replica whose disk fails says so and ends; started again, it follows from what is really there."""
    replica = cluster.replica().start()
    assert replica.terminate() == 0
    replica.wrapper = ["strace", "-D", "-f", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=20+"]
    replica.spawn()
    process = replica.process
    assert process is not None
    with primary.client() as client:

        def ended_by_a_write() -> bool:
            client.incr("k")
            return process.poll() is not None

        eventually(ended_by_a_write, 60)
    assert replica.wait() == 74
    assert replica.logged("daemon.storage_failed")
    replica.wrapper = []
    replica.start()
    follows(replica, primary)


def hostile_inputs(rng: random.Random) -> list[bytes]:
    hello = b"".join(encode(Hello((1,), b"h" * 16, b"p" * 16, None, (), "hostile")))
    claim = b"".join(encode(PositionClaim(None, 0, ())))
    return [
        b"GET / HTTP/1.1\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        rng.randbytes(100_000),
        b"\0" * 1000,
        b"\xff" * 1000,
        hello[:-1],
        hello + rng.randbytes(5000),
        hello + hello,
        hello + claim + b"\xff" * 64,
        hello[:8] + b"\x01\x00" + b"\xff\xff" + b"\xff\xff\xff\xff" + rng.randbytes(100_000),
        b"",
    ]


def test_garbage_on_the_replication_port_changes_nothing(cluster: Cluster, primary: Daemon) -> None:
    """Whatever comes, the primary keeps its data, its memory and its real replica."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    replica = cluster.replica().start()
    with primary.client() as client:
        client.set("k", "v")
    digest = primary.digest()
    for data in hostile_inputs(random.Random(seed)) * 2:
        with socket.create_connection((HOST, cluster.replication_port)) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                while connection.recv(65536):
                    pass
            except OSError:
                pass  # the primary closed it, or never took all of it
    assert primary.digest() == digest
    with primary.client() as client:
        client.set("k", "w")
        assert client.wait(1, 5000) == 1
    follows(replica, primary)
    eventually(lambda: len(primary.status()["replicas"]) <= 2)


def test_a_node_whose_directory_is_removed_ends_by_itself(primary: Daemon) -> None:
    """It answers no write any more, and the exit code says that what it holds is unknown."""
    with primary.client() as client:
        client.set("before", "v")
        eventually(lambda: _is_removed(primary.data))
        # `tests/daemon/process/test_directory_watch.py` says how soon: here the machine may be busy.
        with contextlib.suppress(redis.RedisError):
            while primary.process is not None and primary.process.poll() is None:
                client.set("after", "v")
    assert primary.wait() == 74
    assert primary.logged("data.gone")


def test_a_node_that_nobody_writes_to_ends_when_its_directory_is_removed(primary: Daemon) -> None:
    """It looks by itself."""
    with primary.client() as client:
        client.set("before", "v")
    eventually(lambda: _is_removed(primary.data))
    assert primary.wait() == 74
    assert primary.logged("data.gone")


def _is_removed(directory: Path) -> bool:
    """The node may make a file while its directory goes."""
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def test_a_primary_starts_where_it_was_told_to(cluster: Cluster) -> None:
    """Not in a directory that is empty, with the exit code that keeps units from trying again; in one that
    was made by init, and goes on there."""
    node = cluster.primary()
    node.data.mkdir()
    node.spawn()
    assert node.wait() == 78
    assert list(node.data.iterdir()) == []
    assert main(["init", str(node.data)]) == 0
    node.start()
    node.ask("SET", "k", "v")
    assert node.terminate() == 0
    node.start()
    assert node.ask("GET", "k") == b"v"


def test_a_hangup_has_the_configuration_read_again(
    primary: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends no node, and one that is wrong changes nothing; `replicad reload` does the same and answers."""
    assert primary.process is not None
    primary.configure({"clients": {"clients_max": 77}})
    primary.process.send_signal(signal.SIGHUP)
    primary.logged("config.reloaded")
    with primary.client() as client:
        assert client.config_get("maxclients") == {"maxclients": "77"}

    primary.configure({"clients": {"clients_max": 78, "threads_max": 5}})
    assert main(["reload", f":{primary.port}"]) == 0
    assert capsys.readouterr().out == "clients.clients_max changed\nclients.threads_max needs a restart\n"
    primary.config.write_text("lisen = 1\n")
    assert main(["reload", f":{primary.port}"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"the old configuration stays: {primary.config}:1: lisen is not a key" in said.err
    assert primary.ask("SET", "k", "v")
    assert primary.terminate() == 0


def test_damage_that_starting_finds_has_an_exit_code_of_its_own(primary: Daemon) -> None:
    """Units do not start such a node again and again."""
    primary.ask("SET", "k", "v")
    assert primary.terminate() == 0
    (primary.data / "CURRENT").write_bytes(b"nonsense")
    primary.spawn()
    assert primary.wait() == 65
