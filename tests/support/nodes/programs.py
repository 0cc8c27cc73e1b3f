"""Node programs in the test's own process: what they do by themselves once a second is not done.

They share one event loop and the test's machine, which may be busy: that they stood still says nothing of
them, and one that answers late is still one that answers. Tests of either say so by options.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from replicad.daemon.config import NodeConfig, load_primary, load_replica
from replicad.daemon.config.keys import KeyPath
from replicad.daemon.config.settings_file import rewrite_settings
from replicad.daemon.parts import NodeParts
from replicad.daemon.process.supervise import StopRequest
from replicad.daemon.program import NodeProgram
from replicad.daemon.records import node_state
from replicad.daemon.reload import ConfigSource
from replicad.env import Clock, Env, LocalFileSystem
from replicad.etcd.calls import Etcd
from replicad.etcd.gateway import Gateway
from replicad.etcd.options import EtcdOptions

PATIENT = {"roles__stood_still_seconds": 60.0, "roles__ask_seconds": 20.0}
"""Nothing waits for as long: where no node is, the loopback refuses at once."""


def rewrite(config: NodeConfig, values: Mapping[KeyPath, Any]) -> Path:
    """As `Sources.rewrite` of a node without flags."""
    return rewrite_settings(LocalFileSystem(), config.data, values)


@contextlib.asynccontextmanager
async def started_program(
    config: Any,
    read: Callable[[], NodeConfig] | None = None,
    *,
    env: Env | None = None,
    make_etcd: Callable[[EtcdOptions, Clock], Etcd] = Gateway,
) -> AsyncIterator[NodeProgram]:
    """`read` reads its configuration again."""
    env = env or Env()
    async with node_state(env, config.data) as records:
        source = None if read is None else ConfigSource(read, rewrite)
        program = NodeProgram(config, env, records, StopRequest(), source, make_etcd)
        try:
            await program.start()
            yield program
        finally:
            await program.close()


def primary_program(data: Path) -> contextlib.AbstractAsyncContextManager[NodeProgram]:
    """For tests of what the program itself does."""
    return started_program(load_primary(None, data=data, listen=":0", replication=":0", **PATIENT))


@contextlib.asynccontextmanager
async def started(config: Any) -> AsyncIterator[NodeParts]:
    """The parts of a program that was started."""
    async with started_program(config) as program:
        yield program.parts


@contextlib.asynccontextmanager
async def primary(data: Path, **flags: Any) -> AsyncIterator[NodeParts]:
    """One whose database holds its name."""
    flags = PATIENT | flags
    async with started(load_primary(None, data=data, listen=":0", replication=":0", **flags)) as node:
        assert node.store is not None
        node.store.put(b"of", data.name.encode())
        yield node


def again(data: Path) -> contextlib.AbstractAsyncContextManager[NodeParts]:
    """The node of that directory, started as a primary once more."""
    return started(load_primary(None, data=data, listen=":0", replication=":0", **PATIENT))


def replica_of(
    node: NodeParts, data: Path, **flags: Any
) -> contextlib.AbstractAsyncContextManager[NodeParts]:
    flags = PATIENT | {"primary": node.addresses.replication, "link__free_bytes_min": 0} | flags
    return started(load_replica(None, data=data, listen=":0", **flags))


def holds(node: NodeParts, name: bytes) -> bool:
    return node.store is not None and node.store.get(b"of") == name


def streams(node: NodeParts, name: bytes) -> bool:
    return holds(node, name) and node.link.role_word == "connected"
