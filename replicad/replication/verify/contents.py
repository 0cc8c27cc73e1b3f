"""What this node holds at a mark, read in threads; satisfies comparison's `Contents`."""

from __future__ import annotations

from collections.abc import Sequence

from replicad.replication.tasks import in_thread
from replicad.store import ranges
from replicad.store.ranges import Entries, RangeDigest
from replicad.store.reading import Snapshot


class SnapshotContents:
    """Does not close the snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def families(self) -> dict[int, str]:
        return {id: name for name, id in self._snapshot.families.items()}

    async def split(
        self, family: int, start: bytes, end: bytes | None, part_bytes: int, parts_max: int
    ) -> list[RangeDigest]:
        return await in_thread(
            ranges.split, self._snapshot, family, start, end, part_bytes=part_bytes, parts_max=parts_max
        )

    async def digests(self, family: int, bounds: Sequence[bytes | None], bytes_max: int) -> list[RangeDigest]:
        return await in_thread(ranges.digest_ranges, self._snapshot, family, bounds, bytes_max=bytes_max)

    async def entries(self, family: int, start: bytes, end: bytes | None) -> Entries:
        return await in_thread(ranges.list_entries, self._snapshot, family, start, end)
