"""SENTINEL: every node says who is primary, and clients that know sentinels follow."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.sentinel import MasterNotFoundError, Sentinel

from tests.server.conftest import StartServer
from tests.server.harness import RunningServer
from tests.server.service import NAME, SWITCH, Service, node_id
from tests.support.ioredis import VERSIONS, Client, needs_ioredis
from tests.support.waiting import eventually

QUESTIONS = [
    "GET-MASTER-ADDR-BY-NAME orders",
    "MASTERS",
    "MASTER orders",
    "REPLICAS orders",
    "SLAVES orders",
    "SENTINELS orders",
    "CKQUORUM orders",
    "MYID",
]


@pytest.fixture
def service(start: StartServer) -> Service:
    return Service(*(start() for _ in range(3)))


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    version: int = request.param
    return version


@pytest.fixture
def asked(service: Service, protocol: int) -> Iterator[redis.Redis]:
    """A client of the second node, which shows replies as they come."""
    with redis.Redis(port=service.servers[1].port, protocol=protocol, decode_responses=True) as client:
        client.response_callbacks.clear()
        yield client


@pytest.fixture
def sentinel(service: Service, protocol: int) -> Iterator[Sentinel]:
    options: dict[str, Any] = {"protocol": protocol, "socket_timeout": 10}
    with Sentinel(service.addresses, sentinel_kwargs=options, min_other_sentinels=2, **options) as made:
        yield made


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for client in made:
        client.end()


def rows(client: redis.Redis, *question: str) -> list[dict[str, str]]:
    """Maps in RESP3, flat arrays in RESP2; every value is a string."""
    found = client.execute_command("SENTINEL", *question)
    if client.get_connection_kwargs()["protocol"] == 2:
        found = [dict(zip(row[::2], row[1::2], strict=True)) for row in found]
    assert all(isinstance(row, dict) for row in found)
    assert all(isinstance(value, str) for row in found for value in row.values())
    return list(found)


@pytest.mark.parametrize("question", QUESTIONS)
def test_without_failover_it_says_what_is_missing(start: StartServer, question: str) -> None:
    """The section of the configuration."""
    with (
        start().redis() as client,
        pytest.raises(redis.ResponseError, match=r"\[failover\] is not configured"),
    ):
        client.execute_command("SENTINEL", *question.split())


def test_rows_have_the_fields_of_redis(service: Service, asked: redis.Redis) -> None:
    """Those that clients read, under the names and in the words of Redis Sentinel."""
    first, second, third = service.servers
    primary = {
        "name": NAME,
        "ip": "127.0.0.1",
        "port": str(first.port),
        "runid": node_id(first),
        "flags": "master",
        "down-after-milliseconds": "10000",
        "role-reported": "master",
        "config-epoch": "1",
        "num-slaves": "2",
        "num-other-sentinels": "2",
        "quorum": "2",
    }
    assert rows(asked, "masters") == [primary]
    found = asked.execute_command("SENTINEL", "Master", NAME)
    assert (found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))) == primary
    for question in ("replicas", "slaves"):
        found = rows(asked, question, NAME)
        assert [each["runid"] for each in found] == [node_id(second), node_id(third)]
        assert found[0] == {
            "name": f"127.0.0.1:{second.port}",
            "ip": "127.0.0.1",
            "port": str(second.port),
            "runid": node_id(second),
            "flags": "slave",
            "down-after-milliseconds": "10000",
            "role-reported": "slave",
            "master-link-status": "ok",
            "master-host": "127.0.0.1",
            "master-port": str(first.port),
            "slave-priority": "100",
            "slave-repl-offset": "7",
        }
    assert [(row["name"], row["flags"]) for row in rows(asked, "sentinels", NAME)] == [
        (node_id(first), "sentinel"),
        (node_id(third), "sentinel"),
    ]
    assert asked.execute_command("SENTINEL", "myid") == node_id(second)


def test_what_is_down_says_so(service: Service, asked: redis.Redis) -> None:
    """By its flags; clients pass over it."""
    first, _, third = service.servers
    service.declare_down(first, third)
    assert rows(asked, "masters")[0]["flags"] == "s_down,o_down,master,disconnected"
    replicas = rows(asked, "replicas", NAME)
    assert [row["flags"] for row in replicas] == ["slave", "s_down,slave,disconnected"]
    assert [row["master-link-status"] for row in replicas] == ["ok", "err"]
    flags = [row["flags"] for row in rows(asked, "sentinels", NAME)]
    assert flags == ["s_down,sentinel,disconnected"] * 2


def test_addresses_by_name(service: Service, asked: redis.Redis) -> None:
    """A name that is another is nothing here, and so is a primary that nobody knows."""
    address = ["127.0.0.1", str(service.servers[0].port)]
    assert asked.execute_command("SENTINEL", "get-master-addr-by-name", NAME) == address
    assert asked.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "Orders") is None
    for question in ("master", "replicas", "slaves", "sentinels", "ckquorum"):
        with pytest.raises(redis.ResponseError, match="No such master with that name"):
            asked.execute_command("SENTINEL", question, "others")

    service.appoint(None)
    assert asked.execute_command("SENTINEL", "get-master-addr-by-name", NAME) is None
    assert asked.execute_command("SENTINEL", "masters") == []
    with pytest.raises(redis.ResponseError, match="No primary is known"):
        asked.execute_command("SENTINEL", "master", NAME)
    found = rows(asked, "replicas", NAME)
    assert {(row["master-host"], row["master-port"]) for row in found} == {("?", "0")} and len(found) == 3


def test_enough_nodes_or_not(service: Service, asked: redis.Redis) -> None:
    """CKQUORUM counts this node and the others that are not down."""
    assert asked.execute_command("SENTINEL", "CKQUORUM", NAME).startswith("OK 3 usable Sentinels.")
    service.declare_down(service.servers[0], service.servers[2])
    with pytest.raises(redis.ResponseError, match="NOQUORUM 1 usable Sentinels"):
        asked.execute_command("SENTINEL", "CKQUORUM", NAME)


def test_the_client_for_python_finds_the_nodes(service: Service, sentinel: Sentinel) -> None:
    """redis-py writes to the primary and reads from a replica, and passes over what is down."""
    first, second, third = service.servers
    assert sentinel.discover_master(NAME) == ("127.0.0.1", first.port)
    assert sentinel.discover_slaves(NAME) == [("127.0.0.1", second.port), ("127.0.0.1", third.port)]
    primary, replica = sentinel.master_for(NAME), sentinel.slave_for(NAME)
    assert primary.set("k", "v")
    assert primary.role()[0] in (b"master", "master")
    assert replica.role()[0] in (b"slave", "slave") and replica.get("k") is None
    assert (primary.info("replication")["role"], replica.info("replication")["role"]) == ("master", "slave")

    service.declare_down(first, second)
    assert sentinel.discover_slaves(NAME) == [("127.0.0.1", third.port)]
    with pytest.raises(MasterNotFoundError):
        sentinel.discover_master(NAME)
    with pytest.raises(MasterNotFoundError):
        sentinel.discover_master("others")
    for client in (primary, replica):
        client.close()


def test_the_client_for_python_follows(service: Service, sentinel: Sentinel) -> None:
    """It hears of the new primary. Its connection to the former one ends with the first write, and the next
    write goes to the new one."""
    first, second, _ = service.servers
    primary = sentinel.master_for(NAME)
    assert primary.set("k", "1")
    with sentinel.sentinels[0].pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(SWITCH)
        heard.psubscribe("+sw*")
        eventually(lambda: first.server.state.channels.patterns.clients)
        service.appoint(second)
        found: list[dict[str, Any]] = []

        def hears_both() -> bool:
            if (message := heard.get_message(timeout=0.1)) is not None:
                found.append(message)
            return len(found) == 2

        eventually(hears_both)
    said = f"{NAME} 127.0.0.1 {first.port} 127.0.0.1 {second.port}".encode()
    assert [(each["type"], each["pattern"], each["data"]) for each in found] == [
        ("message", None, said),
        ("pmessage", b"+sw*", said),
    ]
    with pytest.raises(redis.ConnectionError, match="previous master is now a slave"):
        primary.set("k", "2")
    assert primary.set("k", "2")
    assert second.store.get(b"k") == b"2" and first.store.get(b"k") == b"1"
    primary.close()


@needs_ioredis
@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_for_node_follows(start: StartServer, clients: list[Client], version: str) -> None:
    """ioredis in sentinel mode finds the node of each role, and goes to the new one when it hears of it: no
    command has failed before."""
    service = Service(start(), start())
    paris, lyon = service.servers
    options = {
        "sentinels": service.addresses,
        "name": NAME,
        "protocol": 3 if version == "ioredis-6" else None,
    }
    writer, reader = Client(version, role="master", **options), Client(version, role="slave", **options)
    clients += [writer, reader]
    assert writer.do("connectedTo") == paris.port and writer.do("set", "k", "1") == "OK"
    assert reader.do("connectedTo") == lyon.port and reader.do("get", "k") is None

    # Each client subscribes at each node.
    def hearers(server: RunningServer) -> int:
        return len(server.server.state.channels.channels.clients.get(SWITCH, ()))

    eventually(lambda: [hearers(server) for server in service.servers] == [2, 2])
    service.appoint(lyon)
    eventually(lambda: writer.do("connectedTo") == lyon.port and reader.do("connectedTo") == paris.port)
    assert writer.do("set", "k", "2") == "OK"
    assert (reader.do("get", "k"), lyon.store.get(b"k")) == ("1", b"2")


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="*** redis-cli is not installed ***")
def test_redis_cli_asks_and_subscribes(service: Service) -> None:
    """`redis-cli` prints rows, and each message as it comes."""
    first, second, _ = service.servers
    address = ["redis-cli", "-p", str(first.port)]
    asked = subprocess.run(
        [*address, "SENTINEL", "get-master-addr-by-name", NAME], capture_output=True, text=True, check=True
    )
    assert asked.stdout.split() == ["127.0.0.1", str(first.port)]
    process = subprocess.Popen([*address, "SUBSCRIBE", SWITCH], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["subscribe\n", "+switch-master\n", "1\n"]
        service.appoint(second)
        assert [process.stdout.readline() for _ in range(3)] == [
            "message\n",
            "+switch-master\n",
            f"{NAME} 127.0.0.1 {first.port} 127.0.0.1 {second.port}\n",
        ]
    finally:
        process.kill()
        process.wait()


def test_any_connection_may_ask(start: StartServer) -> None:
    """In a transaction, too."""
    server: RunningServer = start()
    Service(server)
    with server.redis() as client:
        pipeline = client.pipeline().execute_command("SENTINEL MYID").execute_command("PING")
        assert pipeline.execute() == [node_id(server).encode(), True]
