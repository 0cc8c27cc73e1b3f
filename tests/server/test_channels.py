"""SUBSCRIBE and its kin."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import redis

from replicad.errors import PoisonedError
from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.secrets import token_sha256
from replicad.server.access.users import UserOptions, Users
from replicad.server.channels import NAME_BYTES_MAX, SUBSCRIPTIONS_MAX, Channels, Message
from tests.server.conftest import StartServer
from tests.server.harness import RawClient, RunningServer, encode_request
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("both_wires")

SECRET = "the token of the application"


@dataclass(eq=False)
class Hearer:
    messages: list[Message] = field(default_factory=list)


def in_words(*words: str, kind: str = "*") -> bytes:
    """An array, or a push, whose numbers are integers."""
    parts = [f":{word}\r\n" if word.isdigit() else f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"{kind}{len(words)}\r\n{''.join(parts)}".encode()


def publish(server: RunningServer, channel: bytes, message: bytes) -> None:
    server.call(lambda: server.server.publish(channel, message))


def test_a_message_goes_to_channels_and_then_to_patterns() -> None:
    """Once for each that it was subscribed to; who has gone hears nothing."""
    channels = Channels()
    first, second, gone = Hearer(), Hearer(), Hearer()
    channels.channels.add(first, b"a1")
    channels.channels.add(gone, b"a1")
    channels.channels.add(second, b"b")
    for pattern in (b"a?", b"*", b"c*"):
        channels.patterns.add(first, pattern)
    channels.patterns.add(gone, b"a?")
    channels.forget(gone)
    assert channels.publish(b"a1", b"said") == [first]
    assert first.messages == [
        (b"message", b"a1", b"said"),
        (b"pmessage", b"a?", b"a1", b"said"),
        (b"pmessage", b"*", b"a1", b"said"),
    ]
    assert not second.messages and not gone.messages
    assert channels.publish(b"A1", b"said") == [first]
    assert channels.count(first) == 4 and channels.size_bytes(first) > channels.size_bytes(second) > 0


def test_nothing_stays_of_what_is_forgotten() -> None:
    """Neither names nor compiled patterns, nor what waits."""
    channels, hearer, other = Channels(), Hearer(), Hearer()
    for each in (hearer, other):
        for number in range(3):
            channels.channels.add(each, b"c%d" % number)
            channels.patterns.add(each, b"p%d*" % number)
    channels.publish(b"p1", b"said")
    channels.forget(hearer)
    channels.patterns.remove(hearer, b"never")
    assert channels.count(hearer) == 0 and not hearer.messages
    assert channels.publish(b"p1", b"said") == [other]
    channels.forget(other)
    assert not channels.channels.clients and not channels.patterns.clients
    assert not channels.patterns.matching(b"p1")


def test_one_client_has_a_limit() -> None:
    """Of names together, and of the length of each; those that it has already count once."""
    channels, hearer = Channels(), Hearer()
    for number in range(SUBSCRIPTIONS_MAX - 1):
        channels.channels.add(hearer, b"%d" % number)
    assert channels.takes(hearer, channels.patterns, [b"p", b"p"])
    assert not channels.takes(hearer, channels.patterns, [b"p", b"q"])
    assert channels.takes(hearer, channels.channels, [b"0", b"1", b"new"])
    assert not channels.takes(hearer, channels.channels, [b"n" * (NAME_BYTES_MAX + 1)])


def test_replies_are_those_of_redis(start: StartServer) -> None:
    """In RESP2, byte for byte; PING has a form of its own meanwhile."""
    with start().connect() as raw:
        raw.command("UNSUBSCRIBE")
        raw.read(b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n")
        raw.command("PUNSUBSCRIBE", "a", "b")
        raw.read(in_words("punsubscribe", "a", "0") + in_words("punsubscribe", "b", "0"))
        raw.command("Subscribe", "a", "a", "b")
        raw.read(in_words("subscribe", "a", "1") * 2 + in_words("subscribe", "b", "2"))
        raw.command("PING")
        raw.read(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        raw.command("PING", "x")
        raw.read(b"*2\r\n$4\r\npong\r\n$1\r\nx\r\n")
        raw.command("UNSUBSCRIBE", "zz")
        raw.read(in_words("unsubscribe", "zz", "2"))
        raw.command("PSUBSCRIBE", "x*")
        raw.read(in_words("psubscribe", "x*", "3"))
        raw.command("UNSUBSCRIBE")
        raw.read(in_words("unsubscribe", "a", "2") + in_words("unsubscribe", "b", "1"))
        raw.command("PUNSUBSCRIBE")
        raw.read(in_words("punsubscribe", "x*", "0"))
        raw.command("PING")
        raw.read(b"+PONG\r\n")


def test_in_resp2_a_subscriber_sends_little_else(start: StartServer) -> None:
    """Whether Python or the kernel would execute it, and also in the middle of a pipeline."""
    server = start()
    refused = b"-ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET"
    with server.connect() as raw:
        raw.send(b"SET k v\r\nSUBSCRIBE a\r\nGET k\r\nPING\r\nUNSUBSCRIBE a\r\nGET k\r\n")
        raw.read(b"+OK\r\n" + in_words("subscribe", "a", "1"))
        assert raw.read_line().startswith(refused % b"get")
        raw.read(in_words("pong", "") + in_words("unsubscribe", "a", "0") + b"$1\r\nv\r\n")
        raw.command("SUBSCRIBE", "a")
        raw.read(in_words("subscribe", "a", "1"))
        for words, name in [
            (("SET", "k", "w"), b"set"),
            (("MULTI",), b"multi"),
            (("HELLO", "3"), b"hello"),
            (("CLIENT", "LIST"), b"client|list"),
            (("PUBLISH", "a", "said"), b"publish"),
        ]:
            raw.command(*words)
            assert raw.read_line().startswith(refused % name)
        raw.send(encode_request("MULTI") + encode_request("SET", "k", "w") + encode_request("EXEC"))
        for name in (b"multi", b"set", b"exec"):
            assert raw.read_line().startswith(refused % name)
    assert server.store.get(b"k") == b"v"


def test_in_resp3_messages_come_beside_the_replies(start: StartServer) -> None:
    """Every command may be sent, and the kernel executes simple ones."""
    server = start()
    with server.connect() as raw:
        raw.send(b"HELLO 3\r\nSUBSCRIBE a\r\nECHO end\r\n")
        subscribed = in_words("subscribe", "a", "1", kind=">")
        assert read_until(raw, b"$3\r\nend\r\n").endswith(subscribed + b"$3\r\nend\r\n")
        raw.command("SET", "k", "v")
        raw.read(b"+OK\r\n")
        publish(server, b"a", b"said")
        raw.read(in_words("message", "a", "said", kind=">"))
        raw.send(b"PING\r\nMULTI\r\nSUBSCRIBE b\r\nEXEC\r\n")
        raw.read(b"+PONG\r\n+OK\r\n-ERR SUBSCRIBE inside MULTI is not supported\r\n")
        assert raw.read_line().startswith(b"-EXECABORT")
        raw.send(b"HELLO 2\r\nGET k\r\n")
        assert b"-ERR Can't execute 'get'" in read_until(raw, b"in this context\r\n")
        publish(server, b"a", b"said")
        raw.read(in_words("message", "a", "said"))


def read_until(raw: RawClient, end: bytes) -> bytes:
    got = b""
    while not got.endswith(end):
        piece = raw.socket.recv(1 << 16)
        assert piece, got
        got += piece
    return got


def test_a_message_waits_behind_held_replies(start: StartServer) -> None:
    """What fails with the store is the reply to the write, and not the message."""
    server = start()
    with server.connect() as raw:
        raw.send(b"HELLO 3\r\nSUBSCRIBE a\r\n")
        read_until(raw, in_words("subscribe", "a", "1", kind=">"))
        server.store.hold_sync()
        raw.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)
        publish(server, b"a", b"first")
        publish(server, b"other", b"never")
        assert raw.has_nothing_to_read()
        server.store.release_sync()
        raw.read(b"+OK\r\n" + in_words("message", "a", "first", kind=">"))

        server.store.hold_sync()
        raw.command("SET", "k", "w")
        eventually(lambda: server.store.appended_sequence == 2)
        publish(server, b"a", b"second")
        assert raw.has_nothing_to_read()
        server.store.fail(PoisonedError("fdatasync: EIO"))
        assert raw.read_line().startswith(b"-UNCERTAIN storage failed")
        raw.read(in_words("message", "a", "second", kind=">"))


def test_who_has_unsubscribed_hears_nothing_more(start: StartServer) -> None:
    """Nor what was published before, and waited: it would be the reply to the next command."""
    server = start()
    server.store.hold_sync()
    with server.connect() as raw:
        raw.send(b"SET k v\r\nSUBSCRIBE a\r\n")
        eventually(lambda: server.server.state.channels.channels.clients)
        publish(server, b"a", b"said")
        raw.send(b"UNSUBSCRIBE\r\nECHO x\r\n")
        eventually(lambda: not server.server.state.channels.channels.clients)
        server.store.release_sync()
        raw.read(b"+OK\r\n" + in_words("subscribe", "a", "1") + in_words("unsubscribe", "a", "0"))
        raw.read(b"$1\r\nx\r\n")
        raw.command("PING")
        raw.read(b"+PONG\r\n")


@pytest.mark.parametrize("end", ["RESET", "QUIT", "close"])
def test_reset_and_the_end_forget(start: StartServer, end: str) -> None:
    """After RESET every command may be sent again."""
    server = start()
    channels = server.server.state.channels
    with server.connect() as raw:
        raw.send(b"SUBSCRIBE a\r\nPSUBSCRIBE b*\r\n")
        raw.read(in_words("subscribe", "a", "1") + in_words("psubscribe", "b*", "2"))
        if end == "close":
            raw.close()
        else:
            raw.command(end)
        eventually(lambda: not channels.channels.clients and not channels.patterns.clients)
        if end == "RESET":
            raw.read(b"+RESET\r\n")
            publish(server, b"a", b"said")
            raw.send(b"GET k\r\nPING\r\n")
            raw.read(b"$-1\r\n+PONG\r\n")


def test_one_that_does_not_read_is_closed(start: StartServer) -> None:
    """So that it does not take the memory of the node."""
    server = start(output_bytes_max=1 << 20)
    with server.connect() as raw:
        raw.command("SUBSCRIBE", "a")
        raw.read(in_words("subscribe", "a", "1"))

        def is_closed() -> bool:
            publish(server, b"a", b"x" * 100_000)
            return not server.server.connections

        eventually(is_closed, seconds=60)


def test_what_waits_for_a_client_counts(start: StartServer) -> None:
    """Among what all clients buffer."""
    server = start()
    server.store.hold_sync()
    with server.connect() as raw:
        raw.send(b"SET k v\r\nSUBSCRIBE a\r\n")
        eventually(lambda: server.server.state.channels.channels.clients)
        publish(server, b"a", b"x" * 1_000_000)
        eventually(lambda: server.server.document()["buffered_bytes"] > 1_000_000)
        server.store.release_sync()


def test_more_than_the_limit_is_refused(start: StartServer) -> None:
    """As a whole: nothing of such a request is taken."""
    names = [f"n{number}" for number in range(SUBSCRIPTIONS_MAX)]
    server = start()
    with server.connect() as raw:
        for words in (["SUBSCRIBE", *names, "more"], ["PSUBSCRIBE", "x" * 1000], ["SUBSCRIBE", *["a"] * 100]):
            raw.command(*words)
            assert raw.read_line().startswith(b"-ERR a connection names at most 64 channels and patterns")
        raw.command("UNSUBSCRIBE", *["a"] * 100)
        assert raw.read_line().startswith(b"-ERR a connection names at most")
        raw.command("PSUBSCRIBE", *names)
        read_until(raw, in_words("psubscribe", names[-1], str(SUBSCRIPTIONS_MAX)))
        raw.command("SUBSCRIBE", "a")
        assert raw.read_line().startswith(b"-ERR a connection names at most")


def test_client_list_shows_them(start: StartServer) -> None:
    """With the flag and the counts of Redis; the types part them from the others."""
    server = start()
    with server.connect() as raw, server.redis() as client:
        raw.send(b"SUBSCRIBE a b\r\nPSUBSCRIBE c*\r\n")
        read_until(raw, in_words("psubscribe", "c*", "3"))
        (shown,) = client.client_list(_type="pubsub")
        assert (shown["flags"], shown["sub"], shown["psub"]) == ("P", "2", "1")
        assert [each["flags"] for each in client.client_list(_type="normal")] == ["N"]
        assert client.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB") == 1
        assert raw.read_to_end() == b""
        assert client.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB") == 0


def test_clients_publish_nothing(start: StartServer) -> None:
    """The refusal says why; a pipeline that asks for it is refused as a whole."""
    with start().redis() as client:
        with pytest.raises(redis.ResponseError, match="not a message broker"):
            client.publish("a", "said")
        with pytest.raises(redis.ResponseError, match="not a message broker"):
            client.pipeline().publish("a", "said").set("k", "v").execute()
        assert client.get("k") is None


def test_who_may_subscribe(start: StartServer) -> None:
    """Who may ask for INFO; not before the login. A login as a user that may not ends what was subscribed."""
    users = {
        "app": UserOptions(roles=(Role.MONITOR,), token_sha256=token_sha256(SECRET)),
        "nobody": UserOptions(roles=(), token_sha256=token_sha256(SECRET)),
    }
    server = start(login=Login(Users(users)))
    with server.connect() as raw:
        for command in ("SUBSCRIBE", "PSUBSCRIBE"):
            raw.command(command, "a")
            assert raw.read_line() == b"-NOAUTH Authentication required.\r\n"
        raw.command("AUTH", "app", SECRET)
        raw.read(b"+OK\r\n")
        raw.command("SUBSCRIBE", "a")
        raw.read(in_words("subscribe", "a", "1"))
        raw.command("RESET")
        raw.read(b"+RESET\r\n")
        publish(server, b"a", b"said")
        raw.command("PING")
        assert raw.read_line() == b"-NOAUTH Authentication required.\r\n"

        raw.command("HELLO", "3", "AUTH", "app", SECRET)
        raw.command("SUBSCRIBE", "a")
        read_until(raw, in_words("subscribe", "a", "1", kind=">"))
        raw.command("AUTH", "nobody", SECRET)
        raw.read(b"+OK\r\n")
        publish(server, b"a", b"said")
        raw.command("PING")
        assert raw.read_line() == b"-NOAUTH Authentication required.\r\n"
