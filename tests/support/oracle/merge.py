"""What reads and merges answer, over a plain list of entries: the model of ReadView, Cursor and Merger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.support.oracle.block import DELETE, PUT, Entry, entry_order


def visible(entries: Iterable[Entry], sequence: int) -> dict[bytes, Entry]:
    """The newest version of each user key at or below `sequence`, deletions included."""
    newest: dict[bytes, Entry] = {}
    for entry in entries:
        if entry.sequence <= sequence and (
            entry.key not in newest or newest[entry.key].sequence < entry.sequence
        ):
            newest[entry.key] = entry
    return newest


def scan(
    entries: Iterable[Entry], lower: bytes | None, upper: bytes | None, sequence: int, *, reverse: bool
) -> list[tuple[bytes, bytes]]:
    """The pairs that a reader at `sequence` sees in [lower, upper)."""
    pairs = [
        (entry.key, entry.value)
        for entry in visible(entries, sequence).values()
        if entry.kind == PUT
        and (lower is None or entry.key >= lower)
        and (upper is None or entry.key < upper)
    ]
    return sorted(pairs, reverse=reverse)


def merge(entries: Iterable[Entry], snapshots: Sequence[int], *, bottom: bool) -> list[Entry]:
    """The entries that stay: for each reader the version it sees, less the deletions that hide nothing."""
    ordered = sorted(set(entries), key=entry_order)
    kept: list[Entry] = []
    newer: Entry | None = None
    for entry in ordered:
        if newer is not None and newer.key != entry.key:
            newer = None
        seen = newer is None or any(entry.sequence <= s < newer.sequence for s in snapshots)
        hides_nothing = bottom and entry.kind == DELETE and not any(s < entry.sequence for s in snapshots)
        if seen and not hides_nothing:
            kept.append(entry)
        newer = entry
    return kept
