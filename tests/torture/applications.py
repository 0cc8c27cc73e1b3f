"""Applications: writers that look for the primary, and readers that carry tokens from one node to another.

Each write is one transaction: an annotation, its number appended to a list, and a key of its own. One that
has no answer is never tried again, so a number that is there twice is the store's doing.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Sequence

import redis

from tests.support.nodes.daemons import Daemon

PAGE = 100
"""Numbers in one list."""
SECONDS_MAX = 3.0
TOKEN_EVERY = 5


def list_of(writer: str, number: int) -> str:
    return f"list:{writer}:{number // PAGE}"


def key_of(writer: str, number: int) -> str:
    return f"key:{writer}:{number}"


def payload(writer: str, number: int) -> bytes:
    """What a key holds: of some length, and like no other."""
    seed = hashlib.sha256(f"{writer} {number}".encode()).digest()
    return (b"%d:" % number + seed * 64)[: 8 + seed[0] * seed[1] % 2000]


def annotation(writer: str, number: int) -> bytes:
    return f"{writer}:{number}".encode()


class Tokens:
    """The newest that a writer got, and which write it covers."""

    newest: tuple[bytes, str, int] | None = None


class _Application(threading.Thread):
    def __init__(self, name: str, nodes: Sequence[Daemon], tokens: Tokens, seed: str) -> None:
        super().__init__(name=name, daemon=True)
        self.nodes = nodes
        self.tokens = tokens
        self.draw = random.Random(seed)
        self.ending = threading.Event()

    def connect(self, node: Daemon) -> redis.Redis:
        return redis.Redis(
            host=node.host,
            port=node.port,
            socket_timeout=SECONDS_MAX,
            socket_connect_timeout=SECONDS_MAX / 3,
            retry=None,
        )


class Writer(_Application):
    def __init__(self, name: str, nodes: Sequence[Daemon], tokens: Tokens, seed: str) -> None:
        super().__init__(name, nodes, tokens, seed)
        self.acknowledged: list[int] = []
        self.tried = 0

    def run(self) -> None:
        at = 0
        while not self.ending.is_set():
            try:
                with self.connect(self.nodes[at]) as client:
                    while not self.ending.is_set():
                        self._write(client)
                        self.ending.wait(self.draw.random() ** 4 * 0.02)
            except redis.RedisError:
                at = self.draw.randrange(len(self.nodes))
                self.ending.wait(0.02)

    def _write(self, client: redis.Redis) -> None:
        number, self.tried = self.tried, self.tried + 1
        transaction = client.pipeline(transaction=True)
        transaction.execute_command("REPLICAD.LOGDATA", annotation(self.name, number))
        transaction.append(list_of(self.name, number), f"{number},")
        transaction.set(key_of(self.name, number), payload(self.name, number))
        transaction.execute()
        self.acknowledged.append(number)
        if number % TOKEN_EVERY == 0:
            token = client.execute_command("REPLICAD.POSITION")
            self.tokens.newest = (token, self.name, number)


class Reader(_Application):
    """A node that says that it shows a token shows the write that it was given for."""

    def __init__(self, name: str, nodes: Sequence[Daemon], tokens: Tokens, seed: str) -> None:
        super().__init__(name, nodes, tokens, seed)
        self.read = 0
        self.wrong: str | None = None

    def run(self) -> None:
        while not self.ending.wait(self.draw.random() * 0.05):
            token = self.tokens.newest
            node = self.draw.choice(self.nodes)
            if token is not None:
                try:
                    self._read(node, *token)
                except redis.RedisError:
                    pass

    def _read(self, node: Daemon, token: bytes, writer: str, number: int) -> None:
        with self.connect(node) as client:
            client.execute_command("REPLICAD.WAITPOS", token, 500)
            value = client.get(key_of(writer, number))
        if value != payload(writer, number):
            self.wrong = f"{node.name} shows {value!r:.80} for {key_of(writer, number)} at {token!r}"
            self.ending.set()
        self.read += 1
