"""What a node does by itself about once a second."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

import replicad.daemon.program
from replicad.errors import DiskFullError, PoisonedError
from tests.support.programs import primary, until


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), DiskFullError("no room")])
async def test_what_fails_once_a_second_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Neither does it end the node, nor keep it from what else is to be done."""
    monkeypatch.setattr(replicad.daemon.program, "TICK_SECONDS", 0)
    async with primary(tmp_path / "p") as node:
        tried, noted = [], []

        async def failing() -> None:
            tried.append(True)
            raise error

        async def note_progress() -> None:
            noted.append(True)

        with monkeypatch.context() as patched:
            patched.setattr(node.holding.feed, "tick", failing)
            patched.setattr(node.link, "note_progress", note_progress)
            ticking = asyncio.ensure_future(node.tick())
            await until(lambda: ticking.done() or (len(tried) > 1 and len(noted) > 1))
            assert ticking.cancel()


async def test_a_store_that_stopped_ends_what_is_done_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicad.daemon.program, "TICK_SECONDS", 0)
    async with primary(tmp_path / "p") as node:

        async def failing() -> None:
            raise PoisonedError("a sync failed")

        monkeypatch.setattr(node.holding.feed, "tick", failing)
        with pytest.raises(PoisonedError):
            async with asyncio.timeout(20):
                await node.tick()
