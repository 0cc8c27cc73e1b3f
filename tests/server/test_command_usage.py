"""What is counted and measured of commands, by the kernel and by Python."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from replicad.env.durations import BOUNDS, Durations
from replicad.errors import DiskFullError
from replicad.kernels import CommandCounts
from replicad.server.command_usage import CommandUsages
from replicad.server.commands import COMMANDS
from replicad.server.simple_commands import SIMPLE_COMMANDS, group_of
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("both_wires")


def usage_of(server: RunningServer) -> CommandUsages:
    usage = server.server.state.usage
    usage.settle()
    return usage


def calls(server: RunningServer) -> dict[str, int]:
    return {name: found.calls for name, found in usage_of(server).by_name.items()}


def test_every_call_counts_once(server: RunningServer, client: redis.Redis) -> None:
    """Whether the kernel executes it, Python does, or both share a transaction."""
    client.ping()
    before = calls(server)
    client.set("k", "v")
    for _ in range(3):
        client.get("k")
    client.mget(["k", "absent"])
    client.setrange("k", 0, "w")  # Python's
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).incr("a").get("a").execute()
    with client.pipeline(transaction=True) as pipe:
        pipe.set("b", 1).type("b").execute()
    after = calls(server)
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    expected = {"set": 3, "get": 4, "mget": 1, "setrange": 1, "incrby": 1, "type": 1, "multi": 2, "exec": 2}
    assert grown == expected


def test_a_transaction_that_the_kernel_gives_up_counts_once(
    server: RunningServer, client: redis.Redis
) -> None:
    """Python does all of it again."""
    before = calls(server).get("set", 0)
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", "text").incr("a")
        with pytest.raises(redis.ResponseError):
            pipe.execute()
    assert calls(server)["set"] == before + 1


def test_hits_and_misses_count_keys(server: RunningServer, client: redis.Redis) -> None:
    """Of GET and MGET, by the kernel and, with what only Python executes before them, by Python."""
    client.set("k", "v")
    counts = server.server.state.stats.counts
    before = counts.hits, counts.misses
    client.mget(["k", "absent", "k"])
    with client.pipeline(transaction=False) as pipe:
        pipe.type("k").mget(["k", "absent", "k"]).execute()
    assert (counts.hits - before[0], counts.misses - before[1]) == (4, 2)


def test_reads_and_writes_are_measured_by_group(server: RunningServer, client: redis.Redis) -> None:
    """Each read and each write has a time, and each group of writes one until it is visible."""
    groups = server.server.state.usage.by_group
    reads, writes = groups["read"].count, groups["write"].count
    commits = server.server.state.stats.commit_durations
    committed = commits.count
    with client.pipeline(transaction=False) as pipe:
        for n in range(20):
            pipe.set(f"k{n}", "v")
        pipe.execute()
    for n in range(20):
        client.get(f"k{n}")
    client.setrange("k0", 0, "w")
    eventually(lambda: groups["read"].count == reads + 20)
    eventually(lambda: groups["write"].count == writes + 21)
    assert committed < commits.count <= committed + 21
    assert commits.sum_seconds > 0


def test_a_refused_group_was_not_committed(
    start: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that the store did not take has no time of a commit."""
    store = open_database(tmp_path / "data")
    running = start(store)

    def refuse(group: object) -> int:
        raise DiskFullError("no room")

    commits = running.server.state.stats.commit_durations
    with redis.Redis(port=running.port, socket_timeout=10) as client:
        client.set("k", "v")
        eventually(lambda: commits.count == 1)
        monkeypatch.setattr(store, "submit_group", refuse)
        with pytest.raises(redis.ResponseError, match="no room"):
            client.set("k", "w")
        monkeypatch.undo()
        client.set("k", "x")
        eventually(lambda: commits.count >= 2)
    assert commits.count == 2


def test_writes_that_a_change_of_role_refuses_take_no_time(start: StartServer) -> None:
    """What comes after them counts from its own beginning, and alone."""
    node = FakeNode(held=True)
    running = start(node=node)
    writes = running.server.state.usage.by_group["write"]
    group = running.server.state.group

    def become(*, writable: bool) -> None:
        node.is_writable, node.held = writable, False
        running.call(running.server.role_changed)

    with running.connect() as raw:
        raw.command("SET", "k", "v")
        eventually(lambda: group.batches == 1)
        become(writable=False)
        assert raw.read_line().startswith(b"-READONLY")
        assert writes.count == 0
        become(writable=True)
        raw.command("SET", "k", "w")
        raw.read(b"+OK\r\n")
    eventually(lambda: writes.count >= 1)
    assert writes.count == 1


def test_errors_count_by_their_code(server: RunningServer, client: redis.Redis) -> None:
    """A command that is refused before it runs is rejected, one whose execution fails has failed."""
    usage = server.server.state.usage
    client.set("k", "text")
    errors = usage.errors["ERR"]
    for request in ("INCR k", "GET", "NOSUCH", "SETRANGE k -1 x"):
        with pytest.raises(redis.RedisError):
            client.execute_command(*request.split())
    assert usage.by_name["incr"].failed == 1 and usage.by_name["setrange"].failed == 1
    assert usage.by_name["get"].rejected == 1 and usage.by_name["get"].failed == 0
    assert usage.errors["ERR"] == errors + 4


def test_a_reset_forgets_everything(server: RunningServer, client: redis.Redis) -> None:
    """What comes after it counts from 0, the kernel's commands too."""
    client.set("k", "v")
    client.get("k")
    client.config_resetstat()
    assert {name: count for name, count in calls(server).items() if name != "config"} == {}
    client.get("k")
    assert calls(server)["get"] == 1
    eventually(lambda: server.server.state.usage.by_group["read"].count == 1)


def test_the_kernels_time_is_shared_by_its_commands() -> None:
    """Sums never go back, whatever is called more often later."""
    executed = {"get": 3, "set": 1}
    usage = CommandUsages(CommandCounts(), lambda: dict(executed), group_of)
    usage.kernel_seconds += 0.4
    usage.settle()
    assert usage.by_name["get"].seconds == pytest.approx(0.3)
    executed["set"] = 101
    usage.kernel_seconds += 1.0
    usage.settle()
    assert usage.by_name["get"].seconds == pytest.approx(0.3)
    assert usage.by_name["set"].seconds == pytest.approx(1.1)


def test_durations_are_counted_by_bucket() -> None:
    """A bound belongs to its own bucket, and what is longer than all to the last one."""
    durations = Durations()
    durations.add(BOUNDS[3])
    durations.add(BOUNDS[3] * 1.001, 2)
    durations.add(1e6)
    assert durations.counts[3:5] == [1, 2] and durations.counts[-1] == 1
    assert durations.count == 4


def test_the_kernels_commands_count_where_pythons_do() -> None:
    """A command has one group, whoever executes it."""
    assert {name: group_of(name) for name in SIMPLE_COMMANDS} == {
        name: COMMANDS[name].timed_as for name in SIMPLE_COMMANDS
    }


@pytest.mark.parametrize(
    ("seconds", "part", "expected"),
    [([], 0.5, 0), ([0.001] * 9 + [1.0], 0.5, 0.001), ([0.001] * 9 + [1.0], 0.99, 1.0), ([99.0], 0.5, 10.0)],
)
def test_a_quantile_is_the_end_of_a_bucket(seconds: list[float], part: float, expected: float) -> None:
    """Never less than it is, but for what is longer than every bound."""
    durations = Durations()
    for each in seconds:
        durations.add(each)
    assert durations.quantile(part) == expected
