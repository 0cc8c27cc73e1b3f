"""Clients that do not log in keep nobody out: a bound for each address, and a share for all others."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.secrets import token_sha256
from replicad.server.access.users import UserOptions, Users
from tests.server.conftest import StartServer
from tests.server.harness import RunningServer, encode_request
from tests.support.waiting import eventually

TOKEN = "the token of the application"
USERS = {"app": UserOptions(roles=(Role.WRITE,), token_sha256=token_sha256(TOKEN))}
LOGIN = encode_request("AUTH", "app", TOKEN)
CLIENTS_MAX = 40


@pytest.fixture
def server(start: StartServer, both_wires: None) -> RunningServer:
    return start(login=Login(Users(USERS)), clients_max=CLIENTS_MAX, on_uvloop=True)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as made:
        yield made


def come(
    server: RunningServer, stack: contextlib.ExitStack, host: str, *, login: bool = False
) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(host, 0))
    stack.enter_context(client)
    if login:
        client.sendall(LOGIN)
        assert client.recv(100) == b"+OK\r\n"
    return client


def is_served(client: socket.socket) -> bool:
    client.sendall(encode_request("SET", "k", "v"))
    return client.recv(100) == b"+OK\r\n"


def test_one_address_takes_a_quarter_before_it_logs_in(
    server: RunningServer, stack: contextlib.ExitStack
) -> None:
    """Its oldest go; who logs in from that address, behind a proxy for instance, is served all the same."""
    connections = server.server.connections
    first = come(server, stack, "127.0.0.7")
    for _ in range(100):
        come(server, stack, "127.0.0.7")
    assert first.recv(100) == b""
    eventually(lambda: len(connections) <= CLIENTS_MAX // 4)
    for _ in range(CLIENTS_MAX // 2):
        assert is_served(come(server, stack, "127.0.0.7", login=True))
    assert is_served(come(server, stack, "127.0.0.8", login=True))


def test_many_addresses_take_half_before_they_log_in(
    server: RunningServer, stack: contextlib.ExitStack
) -> None:
    """The other half is for those who have logged in, and a full port makes room for them."""
    strangers = [come(server, stack, f"127.0.1.{number}") for number in range(1, 101)]
    eventually(lambda: len(server.server.connections) <= CLIENTS_MAX // 2)
    known = [come(server, stack, "127.0.0.9", login=True) for _ in range(CLIENTS_MAX - 1)]
    assert all(is_served(client) for client in known)
    assert strangers[0].recv(100) == b""
    # One place is left, and there is always one for somebody who logs in.
    assert is_served(come(server, stack, "127.0.0.10", login=True))
    refused = come(server, stack, "127.0.0.11")
    assert refused.recv(100) == b"-ERR max number of clients reached\r\n"


def test_a_client_that_resets_itself_is_a_stranger_again(
    server: RunningServer, stack: contextlib.ExitStack
) -> None:
    """And one that logs in is none any more."""
    client = come(server, stack, "127.0.0.7", login=True)
    strangers = server.server.state.strangers
    assert len(strangers) == 0
    client.sendall(encode_request("RESET"))
    assert client.recv(100) == b"+RESET\r\n"
    assert len(strangers) == 1
    client.sendall(LOGIN)
    assert client.recv(100) == b"+OK\r\n"
    assert len(strangers) == 0


def test_without_users_nobody_is_a_stranger(start: StartServer, stack: contextlib.ExitStack) -> None:
    """All clients may come from one address then."""
    server = start(clients_max=CLIENTS_MAX)
    clients = [come(server, stack, "127.0.0.7") for _ in range(CLIENTS_MAX)]
    assert all(is_served(client) for client in clients)
