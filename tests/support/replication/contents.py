"""What a node holds at a mark, in dictionaries, digested by the store's own functions."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from replicad.store.ranges import Entries, RangeDigest, digest_ranges, list_entries, split
from replicad.store.reading import Snapshot

Pairs = Mapping[bytes, bytes]


class DictionaryCursor:
    """Pages as the store's scan gives them: at least one pair each."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._left = pairs[::-1]

    def encoded_page(self, bytes_max: int) -> bytes:
        page = bytearray()
        while self._left and (not page or len(page) < bytes_max):
            key, value = self._left.pop()
            page += struct.pack("<II", len(key), len(value)) + key + value
        return bytes(page)


class DictionarySnapshot:
    def __init__(self, families: Mapping[int, Pairs]) -> None:
        self._families = {family: sorted(pairs.items()) for family, pairs in families.items()}

    def encoded_scan(self, start: bytes | None, end: bytes | None, *, family: int = 0) -> DictionaryCursor:
        pairs = self._families[family]
        first = bisect_left(pairs, (start or b"",))
        return DictionaryCursor(pairs[first : None if end is None else bisect_left(pairs, (end,))])


class DictionaryContents:
    """Counts what it is asked for, and what it read."""

    def __init__(self, families: Mapping[int, Pairs], names: Mapping[int, str] | None = None) -> None:
        self.names = dict(names) if names is not None else {id: f"family {id}" for id in families}
        self._snapshot = DictionarySnapshot(families)
        self.asked: Counter[str] = Counter()
        self.read_bytes = 0
        self.listed = 0

    async def families(self) -> dict[int, str]:
        return self.names

    async def split(
        self, family: int, start: bytes, end: bytes | None, part_bytes: int, parts_max: int
    ) -> list[RangeDigest]:
        parts = split(self._as_snapshot(), family, start, end, part_bytes=part_bytes, parts_max=parts_max)
        return self._count("split", parts)

    async def digests(self, family: int, bounds: Sequence[bytes | None], bytes_max: int) -> list[RangeDigest]:
        return self._count("digests", digest_ranges(self._as_snapshot(), family, bounds, bytes_max=bytes_max))

    async def entries(self, family: int, start: bytes, end: bytes | None) -> Entries:
        listed = list_entries(self._as_snapshot(), family, start, end)
        self.asked["entries"] += 1
        self.listed += len(listed.entries)
        return listed

    def _as_snapshot(self) -> Snapshot:
        """What the functions of `ranges` use of one is there."""
        return cast(Snapshot, self._snapshot)

    def _count(self, what: str, parts: list[RangeDigest]) -> list[RangeDigest]:
        self.asked[what] += 1
        self.read_bytes += sum(part.size_bytes for part in parts)
        return parts
