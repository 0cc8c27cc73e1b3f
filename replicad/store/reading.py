"""Reading at a sequence number. A reader takes the version first and the number second: a version made later
may have dropped what an older number sees, unless a snapshot holds it. It looks after the version whether the
database was closed, for then that is empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path

from replicad import kernels
from replicad.errors import InvalidArgument, NotFoundError
from replicad.store.core import Core
from replicad.store.holds.snapshots import HeldSequence
from replicad.store.version import Version
from replicad.types import DEFAULT_FAMILY, FamilyId, Sequence

Pair = tuple[bytes, bytes]
FIRST_PAGE = 64
PAGE = 1024
DIGEST_BYTES = 128 * 1024


def view_of(core: Core, family: int) -> kernels.ReadView:
    """For a reader of what is visible now. Raises NotFoundError for a family that is not there, or no longer,
    and ClosedError."""
    if family != DEFAULT_FAMILY:
        return view_at(core, family, core.progress.visible)
    version = core.version
    if core.progress.closed:
        core.progress.raise_if_ended()
    return version.view


def view_at(core: Core, family: int, sequence: int) -> kernels.ReadView:
    """The same as of `sequence`: that of a snapshot, or for a writer of what is appended."""
    if family == DEFAULT_FAMILY:
        return view_of(core, family)
    version = core.version
    if core.progress.closed:
        core.progress.raise_if_ended()
    known = version.families.get(FamilyId(family))
    if known is None or not known.exists_at(sequence):
        raise no_such_family(version, family)
    return known.view


def view_if_there(core: Core, family: int, sequence: int) -> kernels.ReadView | None:
    """`view_at`, or None when there was no such family."""
    try:
        return view_at(core, family, sequence)
    except NotFoundError:
        return None


def no_such_family(version: Version, family: int) -> NotFoundError:
    known = version.families.get(FamilyId(family))
    was_there = 0 < family < version.next_family and (known is None or known.dropped is not None)
    return NotFoundError(
        f"column family {family} was dropped" if was_there else f"there is no column family {family}"
    )


def families_at(version: Version, sequence: int) -> dict[str, int]:
    """Id by name, the default family first."""
    return {family.record.name: id for id, family in version.families.items() if family.exists_at(sequence)}


def successor(prefix: bytes) -> bytes | None:
    """The first key after all that begin with `prefix`; None when there is none.

    >>> successor(b"ab")
    b'ac'
    """
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else None


def bounds(start: bytes | None, end: bytes | None, prefix: bytes | None) -> tuple[bytes | None, bytes | None]:
    """The half-open key range that all three allow."""
    if prefix is None:
        return start, end
    after = successor(prefix)
    low = prefix if start is None else max(start, prefix)
    if end is None:
        return low, after
    return low, end if after is None else min(end, after)


def scan(
    view: kernels.ReadView,
    sequence: int,
    start: bytes | None,
    end: bytes | None,
    prefix: bytes | None,
    reverse: bool,
    limit: int | None,
) -> Iterator[Pair]:
    """Pairs with start <= key < end, in key order or against it."""
    if limit is not None and limit < 0:
        raise InvalidArgument(f"limit must not be negative, not {limit}")
    low, high = bounds(start, end, prefix)
    page = view.scan(low, high, sequence, reverse).page
    if limit is not None and limit <= PAGE:
        first = page(limit) if limit else []
        return iter(first) if len(first) == limit else chain(first, _pages(page, limit - len(first)))
    pairs = chain(page(FIRST_PAGE), chain.from_iterable(_growing(page)))
    return pairs if limit is None else islice(pairs, limit)


def _growing(page: Callable[[int], list[Pair]]) -> Iterator[list[Pair]]:
    """Pages that double, so that a reader who stops early has paid for twice what it read, at most."""
    count = FIRST_PAGE
    while pairs := page(count):
        yield pairs
        count = min(2 * count, PAGE)


def _pages(page: Callable[[int], list[Pair]], left: int) -> Iterator[Pair]:
    while left and (pairs := page(left)):
        yield from pairs
        left -= len(pairs)


def digest(core: Core, sequence: Sequence) -> str:
    """SHA-256, in hex, over (key length u32, value length u32, key, value) of every pair in key order.

    The default family comes first, then each further one that there was at `sequence`, by id, after its id as
    u32. A snapshot of `sequence` must be held meanwhile.
    """
    version = core.version
    core.progress.raise_if_ended()
    hash = sha256()
    for id, family in version.families.items():
        if not family.exists_at(sequence):
            continue
        if id != DEFAULT_FAMILY:
            hash.update(id.to_bytes(4, "little"))
        cursor = family.view.scan(None, None, sequence, fill_cache=False)
        while page := cursor.encoded_page(DIGEST_BYTES):
            hash.update(page)
    return hash.hexdigest()


class Snapshot:
    """The database at one sequence number, until it is closed or dropped. A context manager; any thread."""

    def __init__(self, core: Core, sequence: Sequence | None = None, *, keeps: object = None) -> None:
        """`keeps` is not dropped before this is: the database that it was taken of."""
        self._core = core
        self._keeps = keeps
        self._hold: HeldSequence | None = core.snapshots.take(sequence)
        self.sequence = self._hold.sequence
        self._why_closed = "the snapshot is closed"

    def get(self, key: bytes, *, family: int = 0) -> bytes | None:
        return view_at(self._core, family, self.sequence).get(key, self._held())

    def multi_get(self, keys: list[bytes], *, family: int = 0) -> list[bytes | None]:
        return view_at(self._core, family, self.sequence).multi_get(keys, self._held())

    def contains(self, key: bytes, *, family: int = 0) -> bool:
        return view_at(self._core, family, self.sequence).contains(key, self._held())

    def part(self, key: bytes, first: int, last: int, *, family: int = 0) -> tuple[int, bytes]:
        """As `Database.part`."""
        return view_at(self._core, family, self.sequence).part(key, first, last, self._held())

    def sequence_of(self, key: bytes, *, family: int = 0) -> int:
        """The commit sequence number of the version seen; 0 when there is none or it was deleted."""
        return view_at(self._core, family, self.sequence).sequence_of(key, self._held())

    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        family: int = 0,
    ) -> Iterator[Pair]:
        view = view_at(self._core, family, self.sequence)
        return scan(view, self._held(), start, end, prefix, reverse, limit)

    def encoded_scan(self, start: bytes | None, end: bytes | None, *, family: int = 0) -> kernels.Cursor:
        """For digests: a cursor whose `encoded_page` gives the pairs with start <= key < end.

        Blocks that it reads are not kept in the cache.
        """
        view = view_at(self._core, family, self.sequence)
        return view.scan(start, end, self._held(), False, fill_cache=False)

    @property
    def families(self) -> dict[str, int]:
        """Id by name of the column families that there were at this sequence number."""
        return families_at(self._core.version, self._held())

    def digest(self) -> str:
        return digest(self._core, self._held())

    def close(self, why: str = "the snapshot is closed") -> None:
        """`why` is what using it afterwards says."""
        if self._hold is not None:
            self._why_closed = why
            self._hold = None
            if self._core.version.dropped:
                self._core.env.runner.apart(lambda: self._core.forget_dropped(wait=False))

    def is_of(self, path: Path) -> bool:
        return self._core.path == path

    def _held(self) -> Sequence:
        if self._hold is None:
            raise InvalidArgument(self._why_closed)
        return self.sequence

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Newest:
    """The database as it is in log and memtable, durable or not.

    For conditions of a writer. A caller that shows a client what was read here waits until it is visible.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def get(self, key: bytes, *, family: int = 0) -> bytes | None:
        view = self._view(family)
        return view.get(key, self._core.progress.appended)

    def multi_get(self, keys: list[bytes], *, family: int = 0) -> list[bytes | None]:
        view = self._view(family)
        return view.multi_get(keys, self._core.progress.appended)

    def contains(self, key: bytes, *, family: int = 0) -> bool:
        view = self._view(family)
        return view.contains(key, self._core.progress.appended)

    def part(self, key: bytes, first: int, last: int, *, family: int = 0) -> tuple[int, bytes]:
        """As `Database.part`."""
        return self._view(family).part(key, first, last, self._core.progress.appended)

    def sequence_of(self, key: bytes, *, family: int = 0) -> int:
        """The commit sequence number of the newest version; 0 when there is none or it was deleted."""
        view = self._view(family)
        return view.sequence_of(key, self._core.progress.appended)

    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        family: int = 0,
    ) -> Iterator[Pair]:
        view = self._view(family)
        return scan(view, self._core.progress.appended, start, end, prefix, reverse, limit)

    def _view(self, family: int) -> kernels.ReadView:
        return view_at(self._core, family, self._core.progress.appended)
