"""Writers that find the primary by themselves, and remember what they were told.

Each write has a number and is made once: what has no answer is never tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import redis

from tests.support.nodes.daemons import Daemon
from tests.torture.applications import Tokens, Writer, annotation, key_of, list_of, payload

ANSWER_SECONDS_MAX = 1.0
REFUSED = (redis.exceptions.ReadOnlyError, redis.exceptions.ExecAbortError, redis.exceptions.BusyLoadingError)
"""Of a write that was not made."""
PAUSE_SECONDS_MAX = 0.05


class Acknowledgement(NamedTuple):
    number: int
    node: Daemon
    asked_at: float
    at: float
    epoch: int | None
    """That of the write; None where the node went before it said so."""


class FindingWriter(Writer):
    def __init__(self, name: str, nodes: Sequence[Daemon], seed: str) -> None:
        super().__init__(name, nodes, Tokens(), seed)
        self.acknowledgements: list[Acknowledgement] = []
        self.refused: list[int] = []
        self._may_write = threading.Event()
        self._is_idle = threading.Event()

    @property
    def unknown(self) -> int:
        """How many writes have no answer."""
        return self.tried - len(self.acknowledged) - len(self.refused)

    def pause(self) -> None:
        """Returns when no write is under way."""
        self._may_write.clear()
        self._is_idle.wait()

    def go_on(self) -> None:
        self._is_idle.clear()
        self._may_write.set()

    def connect(self, node: Daemon) -> redis.Redis:
        return redis.Redis(
            host=node.host,
            port=node.port,
            socket_timeout=ANSWER_SECONDS_MAX,
            socket_connect_timeout=ANSWER_SECONDS_MAX / 2,
            retry=None,
        )

    def run(self) -> None:
        at = self.draw.randrange(len(self.nodes))
        while not self.ending.is_set():
            if not self._may_write.is_set():
                self._is_idle.set()
                self._may_write.wait(0.05)
                continue
            try:
                with self.connect(self.nodes[at]) as client:
                    client.ping()
                    while self._may_write.is_set() and not self.ending.is_set():
                        self._make(client, self.nodes[at])
                        self.ending.wait(self.draw.random() * PAUSE_SECONDS_MAX)
            except redis.RedisError:
                at = (at + 1) % len(self.nodes)
                self.ending.wait(0.01)
        self._is_idle.set()

    def _make(self, client: redis.Redis, node: Daemon) -> None:
        number, self.tried = self.tried, self.tried + 1
        transaction = client.pipeline(transaction=True)
        transaction.execute_command("REPLICAD.LOGDATA", annotation(self.name, number))
        transaction.append(list_of(self.name, number), f"{number},")
        transaction.set(key_of(self.name, number), payload(self.name, number))
        asked_at = time.monotonic()
        try:
            transaction.execute()
        except REFUSED:
            self.refused.append(number)
            raise
        at, epoch = time.monotonic(), None
        try:
            epoch = int(client.execute_command("REPLICAD.POSITION").split(b":")[0])
        finally:
            self.acknowledged.append(number)
            self.acknowledgements.append(Acknowledgement(number, node, asked_at, at, epoch))
