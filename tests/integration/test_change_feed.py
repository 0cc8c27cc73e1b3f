"""The change feed on real nodes: kills, restarts, limits of slots, users, the command line."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop

import replicad
from replicad.cli.demonstration.ports import HOST
from tests.soak.cluster import SoakCluster
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.nodes.load import fill
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

REPLICAD = [sys.executable, "-m", "replicad"]


class Reader:
    """`replicad updates --follow --json` of a slot, as a process that is killed and started again."""

    def __init__(self, node: Daemon, directory: Path, *options: str) -> None:
        self.command = [*REPLICAD, "updates", f":{node.port}", "--follow", "--json", *options]
        self.directory = directory
        self.outputs: list[Path] = []
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.outputs.append(self.directory / f"reader-{len(self.outputs)}")
        with self.outputs[-1].open("wb") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=subprocess.PIPE)

    def supervise(self) -> bool:
        """Starts it again when it ended because it found no node, as a service manager does; never true."""
        assert self.process is not None
        if self.process.poll() is not None:
            assert self.process.stderr is not None
            assert self.process.returncode == 3, self.process.stderr.read().decode()
            self.start()
        return False

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def runs(self) -> list[list[dict[str, Any]]]:
        """The whole lines of each run."""
        texts = [path.read_text() for path in self.outputs]
        return [[json.loads(line) for line in text.split("\n")[:-1]] for text in texts]

    @property
    def last(self) -> int:
        """The highest sequence number that was printed."""
        return max((line["last_sequence"] for run in self.runs() for line in run), default=0)


def replicad_says(*arguments: str) -> str:
    done = subprocess.run([*REPLICAD, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def slot_of(node: Daemon | Path) -> dict[str, Any]:
    where = str(node) if isinstance(node, Path) else f":{node.port}"
    (slot,) = json.loads(replicad_says("slot", "list", where, "--json"))
    return dict(slot)


def moves(reader: Reader, newest: int) -> None:
    """Waits until it prints something, unless it has everything."""
    seen = reader.last
    eventually(lambda: reader.supervise() or reader.last > seen or seen == newest)


def test_every_batch_comes_at_least_once_and_in_order_whoever_is_killed(
    primary: Daemon, tmp_path: Path
) -> None:
    """The oracle is the log of the directory. A run of the reader is a piece of it without a hole, and begins
    at or before the end of the run before it; within a run nothing comes twice."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)

    replicad_says("slot", "create", f":{primary.port}", "search", "--since", "0")
    reader = Reader(primary, tmp_path, "--slot", "search")
    reader.start()
    try:
        for number in range(8):
            with contextlib.suppress(redis.ConnectionError):
                fill(primary, draw.randrange(50, 400), start=1000 * number)
            reader.supervise()
            if draw.random() < 0.5:
                moves(reader, int(primary.status()["durable_sequence"]))
            if number % 2:
                primary.kill()
                primary.start()
            else:
                reader.end()
                reader.start()
        newest = int(primary.status()["durable_sequence"])
        eventually(lambda: reader.supervise() or reader.last >= newest)
        assert reader.end(signal.SIGINT) == 130
        assert slot_of(primary)["sequence"] >= newest
    finally:
        assert reader.process is not None
        reader.process.kill()
        reader.process.wait()

    assert primary.terminate() == 0
    oracle = [json.loads(line) for line in replicad_says("updates", str(primary.data), "--json").splitlines()]
    by_first = {line["first_sequence"]: line for line in oracle}
    end = 0
    for run in filter(None, reader.runs()):
        assert run[0]["first_sequence"] <= end + 1
        for line in run:
            assert line == by_first[line["first_sequence"]]
        for before, line in itertools.pairwise(run):
            assert line["first_sequence"] == before["last_sequence"] + 1
        end = max(end, run[-1]["last_sequence"])
    assert end >= newest


def test_a_slot_over_its_cap_is_lost_and_its_reader_hears_why(cluster: Cluster) -> None:
    """Writes go on; status says so, and so does the reader, with what to do. A new slot begins anew."""
    tables = {"store": {"log_retention_bytes": 0}, "link": {"slot_log_bytes_max": 50_000}}
    primary = cluster.primary(tables=tables).start()
    replicad_says("slot", "create", f":{primary.port}", "search")
    assert slot_of(primary)["kind"] == "feed"
    fill(primary, 2000)
    eventually(lambda: slot_of(primary)["state"] == "lost")
    assert "feed search is gone (it held" in replicad_says("status", f":{primary.port}")

    command = [*REPLICAD, "updates", f":{primary.port}", "--follow", "--slot", "search"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "is lost (it held" in done.stderr and "copy the data again" in done.stderr

    replicad_says("slot", "drop", f":{primary.port}", "search")
    replicad_says("slot", "create", f":{primary.port}", "search")
    assert slot_of(primary)["state"] == "reserved"


def test_a_slot_outlives_its_primary_and_is_not_a_missing_replica(cluster: Cluster) -> None:
    """It holds the log through a kill; with the daemon down it is listed, and dropped."""
    primary = cluster.primary(name="a", tables={"store": {"log_retention_bytes": 0}}).start()
    replica = cluster.replica().start()
    replicad_says("slot", "create", f":{primary.port}", "search")
    fill(primary, 2000)
    follows(replica, primary)
    primary.kill()
    primary.start()
    eventually(lambda: "well" in replicad_says("status", f":{primary.port}").splitlines()[0])
    assert "1 of 1 replicas there, 0 of 1 feeds" in replicad_says("status", f":{primary.port}")

    async def first() -> replicad.Update:
        async with replicad.follow(f"{HOST}:{primary.port}", slot="search") as feed:
            return await anext(feed)

    # The same on the loop that daemons use.
    assert uvloop.run(first()).first_sequence == asyncio.run(first()).first_sequence == 1
    replica.kill()
    assert primary.terminate() == 0
    kinds = {row["kind"] for row in json.loads(replicad_says("slot", "list", str(primary.data), "--json"))}
    assert kinds == {"feed", "replica"}
    replicad_says("slot", "drop", str(primary.data), "search")


def test_a_reader_goes_on_at_another_node_that_has_its_position(cluster: Cluster) -> None:
    """After a switchover, by position. The slot is made there; a position that the node lost is an error."""
    primary = cluster.primary(name="a").start()
    replica = cluster.replica(name="b").start()
    fill(primary, 100)
    follows(replica, primary)

    async def read(node: Daemon, since: int | replicad.Position, count: int) -> replicad.Position:
        async with replicad.follow(f"{HOST}:{node.port}", slot="search", since=since) as feed:
            for _ in range(count):
                update = await anext(feed)
                feed.acknowledge(update.position)
            return update.position

    position = asyncio.run(read(primary, 0, 50))
    assert position.sequence == 50
    replicad_says("switchover", f":{primary.port}")
    assert asyncio.run(read(replica, position, 50)).sequence == 100
    assert slot_of_name(replica, "search")["sequence"] == 100

    lost = replicad.Position.parse(f"{position.epoch}:90:00000000000000ff")
    with pytest.raises(replicad.DivergedError):
        asyncio.run(read(replica, lost, 1))


def slot_of_name(node: Daemon, name: str) -> dict[str, Any]:
    rows = json.loads(replicad_says("slot", "list", f":{node.port}", "--json"))
    return next(row for row in rows if row["name"] == name)


def test_a_pipe_whose_reader_went_away_ends_the_verb_quietly(primary: Daemon, tmp_path: Path) -> None:
    """Also while nothing is written; the slot stays where the last line was."""
    fill(primary, 1)
    verb = f"{' '.join(REPLICAD)} updates :{primary.port} --follow --json --slot search --since 0"
    done = subprocess.run(
        ["bash", "-c", f"{verb} | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    line, code = done.stdout.splitlines()
    assert (json.loads(line)["last_sequence"], code, done.stderr) == (1, "0", "")
    assert slot_of(primary)["sequence"] == 1


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[SoakCluster]:
    """One node with TLS, and users: one who replicates, and one who only writes."""
    cluster = SoakCluster.make(tmp_path, ("paris",))
    (node,) = cluster.nodes.values()
    users = node.config.read_text().replace(
        "[users.app]", '[users.reader]\nroles = ["replicate"]\ntoken_sha256 = "DIGEST"\n[users.app]'
    )
    digest = users.rpartition('token_sha256 = "')[2].partition('"')[0]
    node.config.write_text(users.replace("DIGEST", digest))
    try:
        cluster.start(node)
        yield cluster
    finally:
        cluster.stop(node)


def test_over_tls_only_who_may_replicate_is_given_the_log(guarded: SoakCluster) -> None:
    """A user without the role, a wrong secret, nobody, and a node that another CA vouches for are refused."""
    (node,) = guarded.nodes.values()
    known = ssl.create_default_context(cafile=str(guarded.authority.ca))

    async def first(**access: Any) -> int:
        async with replicad.follow(node.address, slot="search", since=0, **access) as feed:
            async with asyncio.timeout(20):
                return int((await anext(feed)).first_sequence)

    with redis.Redis(
        host=HOST,
        port=node.port,
        ssl=True,
        ssl_ca_certs=str(guarded.authority.ca),
        username="app",
        password=guarded.token,
    ) as app:
        app.set("k", "v")
    assert asyncio.run(first(ssl=known, user="reader", password=guarded.token)) == 1
    for access, says in (
        ({"ssl": known, "user": "app", "password": guarded.token}, "NOPERM"),
        ({"ssl": known, "user": "reader", "password": "wrong"}, "WRONGPASS"),
        ({"ssl": known}, "NOAUTH"),
        ({"ssl": True, "user": "reader", "password": guarded.token}, "the CA of the certificate"),
    ):
        with pytest.raises(replicad.LoginRefusedError, match=says):
            asyncio.run(first(**access))
