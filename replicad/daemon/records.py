"""The node's state, written by a thread so that the event loop does not wait: one write after another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from replicad.backup.restore.foreign import foreign_content
from replicad.env import Env
from replicad.errors import ConfigError
from replicad.state import (
    BootstrapProgress,
    KnownPeer,
    NodeState,
    PauseRecord,
    RoleRecord,
    RuleRecord,
    Shown,
    Slot,
    VerificationRecord,
)
from replicad.state.node import DIRECTORY, check_name


@contextlib.contextmanager
def locked_state(env: Env, data: Path) -> Iterator[NodeState]:
    """The state of the node whose directory this process now has to itself; LockedError if it has not.

    Raises ConfigError for a directory that is somebody else's, a target of backups for instance.
    """
    # A directory that has other content is refused before anything is made in it.
    check_name(data)
    foreign = None if env.fs.exists(data / DIRECTORY) else foreign_content(env.fs, data)
    if foreign is not None:
        raise ConfigError(f"data: {foreign}; name a new or empty directory, or that of a node")

    # The lock is held until the state is closed: another process must not open it earlier.
    env.fs.make_directories(data / DIRECTORY)
    lock = env.fs.lock(data / DIRECTORY / "daemon.lock")
    try:
        state = NodeState(env, data)
        state.lock = lock
        try:
            yield state
        finally:
            state.close()
    finally:
        lock.release()


class NodeRecords:
    """`NodeState` for the loop's tasks: each call returns when its write is durable."""

    def __init__(self, state: NodeState) -> None:
        self.state = state
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")

    async def put_slot(self, slot: Slot) -> None:
        await self._run(self.state.put_slot, slot)

    async def remove_slot(self, node_id: bytes) -> None:
        await self._run(self.state.remove_slot, node_id)

    async def show(self, shown: Shown) -> None:
        await self._run(self.state.show, shown)

    async def show_bootstrap(self, progress: BootstrapProgress | None) -> None:
        await self._run(self.state.show_bootstrap, progress)

    async def put_role(self, role: RoleRecord) -> None:
        await self._run(self.state.put_role, role)

    async def put_rule(self, rule: RuleRecord | None) -> None:
        await self._run(self.state.put_rule, rule)

    async def put_peer(self, peer: KnownPeer) -> None:
        await self._run(self.state.put_peer, peer)

    async def remove_peer(self, node_id: bytes) -> None:
        await self._run(self.state.remove_peer, node_id)

    async def put_verification(self, verification: VerificationRecord) -> None:
        await self._run(self.state.put_verification, verification)

    async def put_pause(self, pause: PauseRecord | None) -> None:
        await self._run(self.state.put_pause, pause)

    async def close(self) -> None:
        """Returns when every write under way is done."""
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self, function: Callable[..., None], *arguments: Any) -> None:
        # Shielded: the write of a cancelled caller must not run while `close` closes the state.
        job = asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        await asyncio.shield(job)


@contextlib.asynccontextmanager
async def node_state(env: Env, data: Path) -> AsyncIterator[NodeRecords]:
    """The state of the node whose directory this process now has to itself; LockedError if it has not."""
    with locked_state(env, data) as state:
        records = NodeRecords(state)
        try:
            yield records
        finally:
            await records.close()
