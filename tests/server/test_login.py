"""Who logs in while others guess."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from replicad.server.access.login import WAITING_MAX, WAITING_OF_HOST_MAX, Login
from replicad.server.access.roles import Role
from replicad.server.access.secrets import Password
from replicad.server.access.users import User, Users
from tests.support.waiting import until


class Slow(Password):
    """Takes as long as the test wants."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.verified: list[bytes] = []
        self._known = None

    def is_right(self, secret: bytes) -> bool:
        assert self.may_go_on.wait(30)
        self.verified.append(secret)
        return secret == b"right"

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@pytest.fixture
def password() -> Slow:
    return Slow()


@pytest.fixture
def login(password: Slow) -> Iterator[Login]:
    users = Users({})
    users.by_name["alice"] = User("alice", frozenset({Role.READ}), None, password)
    login = Login(users)
    yield login
    password.may_go_on.set()
    login.close()


async def test_who_guesses_much_leaves_room_for_the_others(login: Login, password: Slow) -> None:
    """All waiting places would be taken otherwise, and a right password be called wrong."""
    guesses = [
        asyncio.create_task(login.slowly("alice", b"wrong %d" % number, "10.0.0.66"))
        for number in range(WAITING_MAX)
    ]
    await until(lambda: login.refused_logins == WAITING_MAX - WAITING_OF_HOST_MAX)
    alice = asyncio.create_task(login.slowly("alice", b"right", "10.0.0.1"))
    await asyncio.sleep(0)
    password.may_go_on.set()
    user = await alice
    assert user is not None and user.name == "alice"
    await until(lambda: login.refused_logins == WAITING_MAX)
    assert not login._waiting and not login._waiting_of
    for guess in guesses:
        guess.cancel()


async def test_who_comes_many_times_at_once_is_verified_once(login: Login, password: Slow) -> None:
    """The connections of a program after a restart; one that goes away meanwhile ends no other's."""
    many = [asyncio.create_task(login.slowly("alice", b"right", "10.0.0.1")) for _ in range(3 * WAITING_MAX)]
    await asyncio.sleep(0)
    many.pop(0).cancel()
    password.may_go_on.set()
    assert None not in await asyncio.gather(*many)
    assert password.verified == [b"right"]
