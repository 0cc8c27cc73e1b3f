"""What a NODE holds at one moment, for a comparison: through its client port, or read from its directory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from replicad.cli.nodes.client import Argument
from replicad.errors import CorruptionError, NotFoundError, ReplyError, UnreachableError
from replicad.replication.verify.contents import SnapshotContents
from replicad.store.marks import MarkId
from replicad.store.ranges import Entries, Entry, RangeDigest

if TYPE_CHECKING:
    from replicad.cli.nodes.client import Client
    from replicad.store.reading import Snapshot

REPLY_SECONDS = 60.0
"""A reply takes as long as reading a few megabytes, beside everything else that the node does."""


class LiveSide:
    """A running node, which holds a snapshot under the mark's id."""

    def __init__(self, client: Client, id: MarkId) -> None:
        self._client = client
        self._id = id.hex()

    async def families(self) -> dict[int, str]:
        return await asyncio.to_thread(self.wait, 0)

    def wait(self, wait_ms: int) -> dict[int, str]:
        """The families of the mark, once the node has applied it; raises NotFoundError when it has not."""
        _, named = self._call("FAMILIES", wait_ms)
        return {int(id): name.decode() for id, name in named}

    async def split(
        self, family: int, start: bytes, end: bytes | None, part_bytes: int, parts_max: int
    ) -> list[RangeDigest]:
        rows = await asyncio.to_thread(self._call, "SPLIT", family, start, end or b"", part_bytes, parts_max)
        starts = [start, *(row[0] for row in rows)]
        return [_range(at, row) for at, row in zip(starts, rows, strict=False)]

    async def digests(self, family: int, bounds: Sequence[bytes | None], bytes_max: int) -> list[RangeDigest]:
        rows = await asyncio.to_thread(
            self._call, "DIGESTS", family, bytes_max, *(bound or b"" for bound in bounds)
        )
        return [_range(start or b"", row) for start, row in zip(bounds[:-1], rows, strict=True)]

    async def entries(self, family: int, start: bytes, end: bytes | None) -> Entries:
        whole, listed = await asyncio.to_thread(self._call, "ENTRIES", family, start, end or b"")
        return Entries(tuple(Entry(key, digest) for key, digest in listed), whole=bool(whole))

    def release(self) -> None:
        """Lets the node forget the snapshot; one that is away forgets it by itself."""
        with contextlib.suppress(UnreachableError, ReplyError, NotFoundError):
            self._call("RELEASE")

    def _call(self, subcommand: str, *arguments: Argument) -> Any:
        self._client.set_timeout(REPLY_SECONDS)
        try:
            return self._client.call("REPLICAD.VERIFY", subcommand, self._id, *arguments)
        except ReplyError as error:
            if error.code in ("NOMARK", "LOADING"):
                raise NotFoundError(f"{self._client.address}: {error}") from None
            if error.code == "CORRUPT":
                raise CorruptionError(f"{self._client.address} cannot read its data: {error}") from None
            raise


class SnapshotSide(SnapshotContents):
    """A snapshot in this process, which it owns."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self._owned = snapshot

    def release(self) -> None:
        self._owned.close()


Side = LiveSide | SnapshotSide


def _range(start: bytes, row: list[Any]) -> RangeDigest:
    end, size_bytes, digest = row
    return RangeDigest(start, end or None, int(size_bytes), digest)
