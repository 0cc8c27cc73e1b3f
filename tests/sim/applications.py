"""The applications: writers that find the primary by asking around, readers that carry tokens about."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicad.types import Position
from tests.sim.client import ClientConnection, is_error

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.world import World

REPLY_SECONDS = 3.0
STRANGE_PAIRS = 5000


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write that was answered OK."""

    number: int
    key: bytes
    node: str
    at: float
    power_losses: int
    """How often that node's machine had lost its power then."""
    token: Position | None
    epoch_to_know: int
    """See the world's function of that name; as it was then."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a read showed, after the node said that it shows `token`."""

    key: bytes
    value: bytes | None
    node: str
    token: Position


@dataclass(frozen=True, slots=True)
class Shown:
    """What a replica showed to somebody who had no token, asked at that moment, when it was in `epoch`."""

    key: bytes
    value: bytes | None
    node: str
    epoch: int
    at: float


class Applications:
    def __init__(self, world: World, draw: random.Random) -> None:
        self._world = world
        self._draw = draw
        self._next = 0
        self.acknowledged: list[Acknowledged] = []
        self.seen: list[Seen] = []
        self.shown: list[Shown] = []
        self.newest_token: Position | None = None
        self.stopping = False

    async def fill(self, stranger: Machine) -> None:
        """Puts more into another database than the cluster will ever have."""
        connection = await ClientConnection.open(stranger.host, 1.0)
        pairs = [part for number in range(STRANGE_PAIRS) for part in (b"key-%03d" % number, b"strange")]
        await connection.call((b"MSET", *pairs), seconds=REPLY_SECONDS)
        connection.close()

    async def write(self) -> None:
        """Writes until it is told to end; goes elsewhere when it is refused."""
        world, draw = self._world, self._draw
        index = 0
        connection: ClientConnection | None = None
        while not self.stopping:
            try:
                if connection is None:
                    connection = await ClientConnection.open(world.machines[index].host, 0.5)
                went_well = await self._write_one(connection, index)
            except (OSError, TimeoutError):
                went_well = False
            if not went_well:
                if connection is not None:
                    connection.close()
                    connection = None
                index = draw.randrange(len(world.machines))
                await asyncio.sleep(draw.uniform(0.02, 0.2))
            elif draw.random() < 0.3:
                await asyncio.sleep(draw.random() ** 3 * 0.3)
        if connection is not None:
            connection.close()

    async def _write_one(self, connection: ClientConnection, index: int) -> bool:
        world, draw = self._world, self._draw
        machine = world.machines[index]
        self._next += 1
        number = self._next
        key = b"key-%03d" % draw.randrange(world.scenario.keys)
        losses = machine.power_losses
        value = b"%d:" % number + b"v" * draw.choice((0, 20, 300, 300, 900))
        note = (b"REPLICAD.LOGDATA", b"%d:" % number + b"n" * draw.choice((0, 10, 200)))
        change = (b"SET", key, value) if draw.random() < 0.9 else (b"DEL", key)
        if draw.random() < 0.2:
            other = b"key-%03d" % draw.randrange(world.scenario.keys)
            replies = await connection.call(
                (b"MULTI",), note, change, (b"SET", other, value), (b"EXEC",), seconds=REPLY_SECONDS
            )
        else:
            replies = await connection.call(note, change, seconds=REPLY_SECONDS)
        if any(is_error(reply) for reply in replies):
            return False
        if replies[-1] == 0:
            return True  # Nothing was there to be deleted: no write, and its annotation waits for one.
        token = None
        world.trace.hash_only("acknowledged", number)
        at, to_know = world.loop.now, world.epoch_to_know(machine)
        if draw.random() < 0.3:
            (reply,) = await connection.call((b"REPLICAD.POSITION",), seconds=REPLY_SECONDS)
            token = None if is_error(reply) else Position.parse(reply.decode())
        self.acknowledged.append(Acknowledged(number, key, machine.name, at, losses, token, to_know))
        if token is not None:
            self.newest_token = token
        return True

    async def read(self) -> None:
        """Reads anywhere, at least as new as the newest token; and its own reads never go back."""
        world, draw = self._world, self._draw
        while not self.stopping:
            await asyncio.sleep(draw.uniform(0.02, 0.3))
            token = self.newest_token
            if token is None:
                continue
            machine = draw.choice(world.machines)
            connection = None
            try:
                connection = await ClientConnection.open(machine.host, 0.5)
                (there,) = await connection.call(
                    (b"REPLICAD.WAITPOS", str(token).encode(), b"500"), seconds=REPLY_SECONDS
                )
                if is_error(there):
                    continue
                for _ in range(3):
                    key = b"key-%03d" % draw.randrange(world.scenario.keys)
                    value, newer = await connection.call(
                        (b"GET", key), (b"REPLICAD.POSITION",), seconds=REPLY_SECONDS
                    )
                    if is_error(value) or is_error(newer):
                        break
                    self.seen.append(Seen(key, value, machine.name, token))
                    token = Position.parse(newer.decode())
            except (OSError, TimeoutError):
                pass
            finally:
                if connection is not None:
                    connection.close()

    async def look(self) -> None:
        """Reads of replicas whatever they show, as long as they say that it is new enough."""
        world, draw = self._world, self._draw
        while not self.stopping:
            await asyncio.sleep(draw.uniform(0.05, 0.3))
            machine = draw.choice(world.machines)
            connection = None
            try:
                connection = await ClientConnection.open(machine.host, 0.5)
                for _ in range(3):
                    key, at = b"key-%03d" % draw.randrange(world.scenario.keys), world.loop.now
                    role, before, value = await connection.call(
                        (b"ROLE",), (b"REPLICAD.POSITION",), (b"GET", key), seconds=REPLY_SECONDS
                    )
                    if is_error(role) or role[0] != b"slave" or is_error(before) or is_error(value):
                        break
                    epoch = Position.parse(before.decode()).epoch
                    self.shown.append(Shown(key, value, machine.name, epoch, at))
            except (OSError, TimeoutError):
                pass
            finally:
                if connection is not None:
                    connection.close()
