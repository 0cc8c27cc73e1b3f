"""What only the kernel's sockets can get wrong: ends, resets, and who is told of what."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from replicad.options import Options
from replicad.server.wires import SocketWire
from replicad.store.batch import WriteBatch
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, encode_request
from tests.support.waiting import eventually

LARGE = 2 << 20


def test_a_reset_after_a_clients_end_is_noticed_while_its_reply_is_held(start: StartServer) -> None:
    """From the end on recv says nothing else, and epoll says EPOLLHUP for ever: the connection is over."""
    server = start()
    server.store.hold_sync()
    client = server.connect()
    client.command("SET", "k", "v")
    eventually(lambda: server.store.appended_sequence == 1)
    client.socket.shutdown(socket.SHUT_WR)
    eventually(lambda: all(each.ending for each in server.server.connections))
    client.reset()
    eventually(lambda: not server.server.connections)
    server.store.release_sync()


def test_what_is_disowned_is_told_at_once(start: StartServer) -> None:
    """Another node becomes primary while a write waits: its client hears it, though nothing else happens."""
    node = FakeNode(rule="any 1")
    server = start(node=node)
    server.store.hold_sync()
    with server.connect() as client:
        client.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)

        def change() -> None:
            node.role, node.is_writable, node.primary_address = "replica", False, ("127.0.0.1", 1)
            server.server.role_changed()

        server.call(change)
        assert client.read_line().startswith(b"-UNCERTAIN ")
        server.store.release_sync()


def test_a_client_that_quits_is_closed_when_the_end_of_a_round_sends_its_rest(start: StartServer) -> None:
    """It reads between QUIT, which finds the socket full, and the end of that round."""
    server = start()
    with server.connect() as first:
        first.command("SET", "large", b"x" * (4 * LARGE))
        first.read(b"+OK\r\n")
    rounds, client, reading = server.server._rounds, server.connect(), threading.Event()
    flush = rounds.flush

    def late() -> None:
        if any(each._wire.is_closing for each in server.server.connections.values()):
            reading.set()
            # The client takes what the socket holds: there is room for more then.
            eventually(lambda: client.taken > LARGE)  # type: ignore[attr-defined]
        flush()

    client.taken = 0  # type: ignore[attr-defined]
    rounds.flush = late  # type: ignore[method-assign]
    client.send(encode_request("GET", "large") + encode_request("QUIT"))
    reading.wait(10)
    while piece := client.socket.recv(1 << 20):
        client.taken += len(piece)  # type: ignore[attr-defined]
    assert client.taken == 4 * LARGE + len(b"$8388608\r\n\r\n+OK\r\n")  # type: ignore[attr-defined]
    client.close()


def test_a_client_that_fails_takes_no_other_with_it(
    start: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with one of a round closes that one; the others are served."""
    server = start()
    act = SocketWire.act

    def fails_for_one(wire: SocketWire, found: list[list[bytes] | bytes] | None) -> None:
        if found == [[b"TYPE", b"bad"]]:
            raise RuntimeError("broken on purpose")
        act(wire, found)

    monkeypatch.setattr(SocketWire, "act", fails_for_one)
    with server.connect() as bad, server.connect() as good:
        bad.command("TYPE", "bad")
        good.command("TYPE", "good")
        good.read(b"+none\r\n")
        assert bad.read_to_end() == b""


@pytest.mark.parametrize("command", ["exists", "mget", "exec", "del"])
def test_large_values_are_looked_at_in_python(start: StartServer, tmp_path: Path, command: str) -> None:
    """Which gives others their turns meanwhile, also where they are only counted."""
    store = open_database(tmp_path / "data", Options(durability="async"))
    names = [f"key:{number}" for number in range(8)]
    for name in names:
        batch = WriteBatch()
        batch.put(name.encode(), os.urandom(LARGE))
        store.write(batch)
    server = start(store, on_uvloop=True)
    with server.connect() as client:
        requests = {
            "exists": encode_request("EXISTS", *names),
            "mget": encode_request("MGET", *names),
            "del": encode_request("DEL", *names),
            "exec": encode_request("MULTI")
            + b"".join([encode_request("STRLEN", name) for name in names])
            + encode_request("EXEC"),
        }
        client.send(requests[command])
        client.socket.recv(1)
        (one,) = server.server.connections
        assert (one.command_name, one.port.command_name) == (command, "")


def test_large_values_of_one_pipeline_take_several_turns(start: StartServer) -> None:
    """However they came: a turn is over after a megabyte of them."""
    server = start(durability="async")
    with server.connect() as client:
        client.command("SET", "k", b"v" * LARGE)
        client.read(b"+OK\r\n")
        executed: list[int] = []

        def look() -> None:
            executed.append(server.server.state.stats.counts.commands)
            if executed[-1] < 21:
                server.server.state.loop.call_soon(look)

        server.call(look)
        client.send(encode_request("STRLEN", "k") * 20)
        client.read(b":%d\r\n" % LARGE * 20)
        eventually(lambda: executed[-1] == 21)
    assert len(set(executed)) > 10


def test_what_clients_do_not_take_is_counted_at_once(start: StartServer) -> None:
    """Few bytes ask for much: when all together have too much on its way, the largest are closed before the
    next inspection."""
    server = start(durability="async", buffered_bytes_max=16 << 20, output_bytes_max=64 << 20)
    with server.connect() as first:
        first.command("SET", "k", b"v" * (4 * LARGE))
        first.read(b"+OK\r\n")
    monitor = server.server._inspection
    assert monitor is not None
    server.call(monitor.cancel)
    clients = [server.connect() for _ in range(8)]
    for client in clients:
        client.command("GET", "k")
    eventually(lambda: server.server.state.stats.closed_for_limits > 0)
    for client in clients:
        client.close()
