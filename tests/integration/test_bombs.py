"""Clients and peers that try to make a daemon large: its memory stays under a bound, and others are served.

The bound on what a bomb may add to the resident set, at its peak: what clients may have buffered in all
(`buffered_bytes_max`), and `SLACK_BYTES` for sockets, parsing and replies on their way.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicad.errors import ProtocolError
from replicad.options import KIB, MIB
from replicad.replication.wire.framing import PREFIX, encode_prefix
from replicad.replication.wire.headers import decode_header
from replicad.replication.wire.messages import MessageKind
from tests.server.harness import RawClient, encode_request
from tests.support.nodes.daemons import SMALL, Cluster, Daemon, Tables, follows
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

CLIENTS = {"buffered_bytes_max": 32 * MIB, "output_bytes_max": 4 * MIB, "clients_max": 4000}
SLACK_BYTES = 64 * MIB
BOUND_BYTES = CLIENTS["buffered_bytes_max"] + SLACK_BYTES


def _memory(daemon: Daemon, field: str) -> int:
    assert daemon.process is not None
    for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * KIB
    raise AssertionError(f"no {field} in /proc")


@contextlib.contextmanager
def bounded(daemon: Daemon) -> Iterator[None]:
    """Meanwhile a client writes and reads all the time; afterwards the peak of memory is looked at."""
    assert daemon.process is not None
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")  # the peak begins again
    before = _memory(daemon, "VmRSS:")
    over = threading.Event()
    served: list[int] = []
    failures: list[BaseException] = []

    def use() -> None:
        try:
            with daemon.client() as client:
                while not over.is_set() or not served:
                    client.set("served", len(served))
                    assert client.get("served") == b"%d" % len(served)
                    served.append(1)
        except BaseException as error:
            failures.append(error)

    other = threading.Thread(target=use)
    other.start()
    try:
        yield
        begun = len(served)
        eventually(lambda: len(served) > begun or bool(failures))
    finally:
        over.set()
        other.join()
    if failures:
        raise failures[0]
    grown = _memory(daemon, "VmHWM:") - before
    print(f"grew by {grown // KIB} KiB at most; another client was served {len(served)} times")
    assert grown < BOUND_BYTES


@pytest.fixture
def small(cluster: Cluster) -> Daemon:
    return cluster.primary(tables={"clients": CLIENTS}).start()


@contextlib.contextmanager
def _connected(port: int, count: int) -> Iterator[list[RawClient]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RawClient(port)) for _ in range(count)]


def _push(client: RawClient, data: bytes) -> int:
    """Sends until the server takes no more for a while or has closed; how much it took."""
    client.socket.settimeout(1.0)
    sent = 0
    with memoryview(data) as view, contextlib.suppress(TimeoutError, ConnectionError):
        while sent < len(data):
            sent += client.socket.send(view[sent : sent + MIB])
    return sent


def test_declared_sizes_cost_nothing(small: Daemon) -> None:
    """A hundred clients each announce a command of a million arguments of 64 MiB, and send none."""
    with bounded(small), _connected(small.port, 100) as clients:
        for client in clients:
            client.send(b"*1048576\r\n$3\r\nSET\r\n$67108864\r\nv")


@pytest.mark.parametrize("kind", [b">", b"~", b"%", b"|", b"*"])
def test_declared_elements_of_any_type_cost_nothing(small: Daemon, kind: bytes) -> None:
    """A client announces a thousand million elements of a type that no request has, or of one too many."""
    with bounded(small), RawClient(small.port) as client:
        client.send(kind + b"1000000000\r\n")
        assert client.read_line().startswith(b"-ERR ")


def test_many_unfinished_commands_share_one_budget(small: Daemon) -> None:
    """Sixty clients stop 2 MiB into their values: when all together are too large, the largest go."""
    with bounded(small), _connected(small.port, 60) as clients:
        for client in clients:
            _push(client, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4194304\r\n" + b"x" * (2 * MIB))
        eventually(lambda: int(small.ask("INFO")["clients_closed_for_limits"]) > 0)


def test_writes_that_wait_share_one_budget(cluster: Cluster) -> None:
    """A hundred clients write as much as they can to a primary that waits to hear who is primary."""
    settings: Tables = {"clients": CLIENTS, "roles": {"when_alone": "wait"}}
    primary, replica = cluster.primary(tables=settings).start(), cluster.replica().start()
    follows(replica, primary)
    replica.kill()
    primary.kill()
    primary.spawn()
    eventually(primary.serves)
    assert primary.status()["standing"] == "doubting"
    before = _memory(primary, "VmRSS:")
    with _connected(primary.port, 100) as clients:
        for client in clients:
            client.socket.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                client.send(encode_request("SET", "k", "v" * 16_000) * 500)
    assert _memory(primary, "VmHWM:") - before < BOUND_BYTES


def test_slow_writers_are_no_trouble(small: Daemon) -> None:
    """Three hundred clients who send a command byte by byte, all at once, get their answers."""
    request = encode_request("SET", "slow", "v" * 20)
    with bounded(small), _connected(small.port, 300) as clients:
        for at in range(len(request)):
            for client in clients:
                client.send(request[at : at + 1])
        for client in clients:
            client.read(b"+OK\r\n")


@pytest.mark.parametrize("request_", [b"*1\r\n$4\r\nPING\r\n", b"PING\r\n", encode_request("GET", "large")])
def test_a_million_commands_without_reading_a_reply(small: Daemon, request_: bytes) -> None:
    """What waits for a client that does not read is bounded, and then its commands are not executed."""
    small.ask("SET", "large", "v" * 10_000)
    with bounded(small), RawClient(small.port) as client:
        _push(client, request_ * 1_000_000)


def test_idle_connections_are_cheap(small: Daemon) -> None:
    """Two thousand connections that say nothing after a PING."""
    with bounded(small), _connected(small.port, 2000) as clients:
        for client in clients:
            client.command("PING")
        for client in clients:
            client.read(b"+PONG\r\n")


def test_connections_do_not_take_what_the_store_needs(cluster: Cluster) -> None:
    """With few file descriptors, more connections come than there are: those that are too many are refused,
    and the store makes segments and tables as ever."""
    primary = cluster.primary(tables={"store": {**SMALL["store"], "segment_bytes": 64 * KIB}})
    primary.wrapper = ["prlimit", "--nofile=200:200"]
    primary.start()
    with primary.client() as client:
        assert client.info("clients")["maxclients"] == 100
        with _connected(primary.port, 300) as many:
            assert many[-1].read_line() == b"-ERR max number of clients reached\r\n"
            for number in range(2000):
                client.set(f"key:{number}", b"v" * 200)
    assert len(list(primary.data.glob("*.sst"))) > 1


def _announced(header_bytes: int, payload_bytes: int) -> bytes:
    return PREFIX.pack(0, 0, MessageKind.HELLO, 0, header_bytes, payload_bytes)


BOMBS = {
    "a payload of 4 GiB": _announced(10, 0xFFFFFFFF),
    "a header that never comes": _announced(0xFFFF, 0),
    "a deep header": encode_prefix(MessageKind.HELLO, b"\x91" * 65535, b""),
    "a wide header": encode_prefix(MessageKind.HELLO, b"\xdc\xff\xf0" + b"\x80" * 65500, b""),
    "a header of a declared array": encode_prefix(MessageKind.HELLO, b"\xdd\xff\xff\xff\xff", b""),
    "a header of declared maps": encode_prefix(MessageKind.HELLO, b"\xdf\xff\xff\xff\xff\xc0", b""),
    "a long string": encode_prefix(
        MessageKind.HELLO, b"\x81\xa4node" + b"\xc6" + struct.pack(">I", 1 << 31), b""
    ),
    "wide arrays in a known key": encode_prefix(
        MessageKind.HELLO,
        b"\x81\xa8versions" + b"\xdc\x04\x00" + (b"\xdc\x00\x10" + b"\x90" * 16) * 1024,
        b"",
    ),
}


def test_messages_that_would_unfold(cluster: Cluster, small: Daemon) -> None:
    """A hundred peers send each of them to the replication port; a replica is served as before."""
    replica = cluster.replica().start()
    for bomb in BOMBS.values():
        with bounded(small), _connected(cluster.replication_port, 100) as peers:
            for peer in peers:
                with contextlib.suppress(ConnectionError):
                    peer.send(bomb)
    small.ask("SET", "after", "the bombs")
    follows(replica, small)


def test_a_header_is_refused_before_it_unfolds() -> None:
    """The limits hold for what msgpack would make of 64 KiB."""
    for name in ("a deep header", "a wide header", "wide arrays in a known key"):
        with pytest.raises(ProtocolError, match="within the limits"):
            decode_header(BOMBS[name][PREFIX.size :])
