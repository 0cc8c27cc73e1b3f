"""Writes for tests with real nodes."""

from __future__ import annotations

from tests.support.nodes.daemons import Daemon


def fill(daemon: Daemon, count: int, *, size: int = 200, start: int = 0) -> None:
    """Puts `count` keys in pipelines."""
    with daemon.client() as client:
        for first in range(start, start + count, 100):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, min(first + 100, start + count)):
                pipeline.set(f"key:{number}", f"{number}".encode() * (size // len(f"{number}")))
            pipeline.execute()
