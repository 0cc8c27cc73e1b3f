"""Nodes in the middle of a change of role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from replicad.daemon.parts import NodeParts
from replicad.net.addresses import Address, address_of
from replicad.replication.policy.roles import Standing


def feeds(node: NodeParts) -> bool:
    feed = node.open_store.feed
    return feed is not None and any(session.sender is not None for session in feed.sessions.values())


def failing_once(function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """The function, which raises the error the first time."""
    errors = [error]

    def failing(*arguments: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop()
        return function(*arguments, **named)

    return failing


def spawned_by(node: NodeParts, monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Task[Any]]:
    """What the node does beside, from now on."""
    spawned: list[asyncio.Task[Any]] = []
    spawn = node.tasks.spawn

    def spawning(job: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        spawned.append(spawn(job))
        return spawned[-1]

    monkeypatch.setattr(node.tasks, "spawn", spawning)
    return spawned


async def given_to(target: NodeParts, node: NodeParts) -> Address:
    """A switchover's time is over after the role was given away: the target has not heard of it yet."""
    address = address_of(target.addresses.replication)
    assert address is not None
    node.standing.move(Standing.PAUSED)
    await node.switchover.give_away(address, "", 2)
    node.switchover.refuse_writes()
    return address
