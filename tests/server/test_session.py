"""The connection: greeting, names, protocol versions, the end."""

from __future__ import annotations

import pytest
import redis

from tests.server.harness import RunningServer


def test_hello_agrees_on_the_protocol(server: RunningServer) -> None:
    """RESP3 has maps and its own null; an unknown version changes nothing."""
    with server.connect() as raw:
        raw.command("HELLO", "3", "SETNAME", "me")
        assert raw.read_line() == b"%7\r\n"
        while b"modules" not in raw.read_line():
            pass
        raw.read(b"*0\r\n")
        raw.command("GET", "absent")
        raw.command("HELLO", "4")
        raw.command("CLIENT", "GETNAME")
        raw.command("HELLO", "2")
        raw.read(b"_\r\n-NOPROTO unsupported protocol version\r\n$2\r\nme\r\n*14\r\n")


def test_a_password_is_not_set(server: RunningServer) -> None:
    """AUTH with a password alone says so; the default user takes any, and there is no other, as in Redis."""
    with server.connect() as raw:
        for command, answer in {
            "AUTH secret": b"-ERR AUTH <password> called without any password configured",
            "AUTH user secret": b"-WRONGPASS",
            "HELLO 3 AUTH user secret": b"-WRONGPASS",
            "AUTH default secret": b"+OK",
        }.items():
            raw.command(*command.split())
            assert raw.read_line().startswith(answer)


def test_clients_have_names_and_ids(client: redis.Redis) -> None:
    """CLIENT names, lists and describes connections."""
    assert client.client_getname() is None
    assert client.client_setname("worker-1") is True
    assert client.client_getname() in (b"worker-1", "worker-1")
    assert client.client_setinfo("LIB-VER", "9")
    info = client.client_info()
    assert info["name"] == "worker-1" and int(info["id"]) == client.client_id()
    assert [each["name"] for each in client.client_list()] == ["worker-1"]
    with pytest.raises(redis.ResponseError, match="cannot contain spaces"):
        client.client_setname("two words")
    with pytest.raises(redis.ResponseError, match="unknown subcommand 'NOPE'"):
        client.execute_command("CLIENT", "NOPE")


def test_ping_echo_select_and_reset_answer(client: redis.Redis) -> None:
    """PING, ECHO, SELECT, RESET."""
    assert client.ping()
    assert client.echo("hello") == b"hello"
    assert client.select(0) is True
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        client.select(1)
    with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH', with args beginning with: 'a'"):
        client.execute_command("NOSUCH", "a")


def test_quit_ends_the_connection(server: RunningServer) -> None:
    """Commands behind it are not executed; those before it are answered."""
    with server.connect() as raw:
        raw.send(b"SET k 1\r\nQUIT\r\nSET k 2\r\n")
        assert raw.read_to_end() == b"+OK\r\n+OK\r\n"
    assert server.store.newest.get(b"k") == b"1"


def test_names_in_any_case_and_inline(server: RunningServer) -> None:
    """A person with a terminal is served too."""
    with server.connect() as raw:
        raw.send(b'sEt k "a b"\r\nget k\nPiNg\r\nPING hi\r\n')
        raw.read(b"+OK\r\n$3\r\na b\r\n+PONG\r\n$2\r\nhi\r\n")


def test_commands_describe_themselves(client: redis.Redis, server: RunningServer) -> None:
    """COMMAND answers what clients ask."""
    known = client.command()
    assert known["get"]["arity"] == 2 and known["get"]["first_key_pos"] == 1
    assert "replicad.position" in known
    assert len(client.command_list()) == len(known)
    with server.connect() as raw:
        raw.send(b"COMMAND COUNT\r\nCOMMAND INFO nosuch\r\nCOMMAND DOCS echo nosuch\r\n")
        raw.read(b":%d\r\n*1\r\n$-1\r\n" % len(known))
        raw.read(b"*2\r\n$4\r\necho\r\n*8\r\n$7\r\nsummary\r\n$21\r\nAnswers its argument.\r\n")
