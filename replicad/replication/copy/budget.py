"""A rate that several tasks share."""

from __future__ import annotations

import asyncio


class Budget:
    """So many bytes a second for all who spend them; who spends waits until that much time has passed.

    Belongs to the event loop. What is spent at once is not split: whoever spends less at a time waits less.
    """

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0

    async def spend(self, size_bytes: int) -> None:
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size_bytes / self._bytes_per_second
        await asyncio.sleep(self._free_at - now)
