"""Clients that go while a command of theirs is under way leave nothing behind."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from unittest.mock import Mock

import pytest

from tests.server.conftest import StartServer
from tests.server.harness import RawClient, RunningServer, encode_request
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("both_wires")

GIVEN_UP = b"-ERR this connection ends before the command does; what came of it is unknown\r\n"


def is_clean(server: RunningServer) -> bool:
    waiting = server.server.state.workers.tasks or len(server.server.state.conditions)
    return not server.server.connections and not waiting


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset])
@pytest.mark.parametrize(
    "data", [b"PING\r\n", b"*2\r\n$4\r\nECHO\r\n$9999\r\nabc", b"WAIT 1 0\r\n", b"SET k v\r\n"]
)
def test_what_a_client_buffered_is_freed_when_it_goes(
    server: RunningServer, leave: Callable[[RawClient], None], data: bytes
) -> None:
    """At once, and not when the garbage collector comes by: many that go together may have buffered much."""
    raw = server.connect()
    raw.send(data)
    eventually(lambda: server.server.state.stats.counts.input_bytes == len(data))
    gc.collect()
    gc.disable()
    try:
        gone = [weakref.ref(each) for each in server.server.connections.values()]
        leave(raw)
        eventually(lambda: is_clean(server) and all(each() is None for each in gone))
    finally:
        gc.enable()


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset])
@pytest.mark.parametrize("data", [b"WAIT 1 0\r\n", b"WAIT 1 0\r\nPING\r\n", b"WAIT 1 0\r\n" * 3])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_command_that_waits_ends_with_its_client(
    server: RunningServer, leave: Callable[[RawClient], None], data: bytes, at_once: bool
) -> None:
    """Also with more commands behind it, whether the client says that it goes or not."""
    raw = server.connect()
    raw.send(data)
    if not at_once:
        eventually(lambda: server.server.state.workers.tasks)
    leave(raw)
    eventually(lambda: server.server.state.stats.connections == 1 and is_clean(server))


def test_a_command_that_is_yet_to_wait_ends_with_its_client(start: StartServer) -> None:
    """One that would begin to wait after its client closed its side is given up as well."""
    server = start()
    server.store.hold_sync()
    raw = server.connect()
    raw.send(b"SET k v\r\nWAIT 1 0\r\n")
    eventually(lambda: server.store.appended_sequence == 1)
    raw.close()
    server.store.release_sync()
    eventually(lambda: is_clean(server))


def test_replies_stay_in_order_when_a_wait_is_given_up(start: StartServer) -> None:
    """A client that only closed its side gets one reply to each command."""
    server = start()
    with server.connect() as raw:
        raw.send(b"PING\r\nWAIT 1 0\r\nECHO a\r\n")
        eventually(lambda: server.server.state.workers.tasks)
        raw.socket.shutdown(1)
        assert raw.read_to_end() == b"+PONG\r\n" + GIVEN_UP + b"$1\r\na\r\n"


def test_what_comes_behind_a_waiting_command_is_bounded(start: StartServer) -> None:
    """A client that waits and sends on is read a little further, and then gets all of its replies."""
    server = start()
    with server.connect() as raw:
        raw.send(b"WAIT 1 1000\r\n")
        eventually(lambda: server.server.state.workers.tasks)
        count = 500_000
        sender = threading.Thread(target=raw.send, args=(encode_request("PING") * count,))
        sender.start()
        before_the_reply = 0
        while raw.has_nothing_to_read(0.01):
            before_the_reply = server.server.state.stats.counts.input_bytes
        assert 0 < before_the_reply < 2_000_000
        raw.read(b":0\r\n")
        raw.read(b"+PONG\r\n" * count)
        sender.join()


def test_walks_of_clients_that_left_do_not_go_on(start: StartServer) -> None:
    """What has not begun never does, what has stops soon; look-ups of others never stand behind walks."""
    server = start(threads_max=1)
    server.store.submit_many([(b"k", b"v")])
    walking, gone = threading.Event(), threading.Event()
    walks: list[Mock] = []

    def endless(**_: object) -> Iterator[tuple[bytes, bytes]]:
        walking.set()
        gone.wait()
        yield from itertools.repeat((b"k", b"v"))

    def snapshot() -> Mock:
        walks.append(Mock(scan=(lambda **_: [(b"k", b"v")]) if walks else endless))
        return walks[-1]

    server.store.snapshot = snapshot
    leaving = [server.connect() for _ in range(20)]
    for raw in leaving:
        raw.command("KEYS", "nothing*")
    assert walking.wait(10)
    eventually(lambda: server.server.state.stats.counts.commands == 20)
    with server.redis() as other:
        assert other.execute_command("REPLICAD.POSITION").startswith(b"1:1:")
    for raw in leaving:
        raw.reset()
    eventually(lambda: not server.server.connections)
    gone.set()
    eventually(lambda: walks[0].close.called)
    with server.redis() as other:
        assert other.keys("k*") == [b"k"], "its walk stands behind all of those"
    assert len(walks) == 2
