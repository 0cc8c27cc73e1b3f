"""Opening the received log of a directory: what is whole of it goes on, and damage is kept aside.

An incomplete frame at the end of the newest file is a tail that was never acknowledged: it is cut off. Files
in which anything else is wrong, and those behind them, are kept in `quarantine/` first.
"""

from __future__ import annotations

from pathlib import Path

from replicad.env import FileSystem
from replicad.env.atomic import rewrite_file
from replicad.errors import CorruptionError
from replicad.store.received.aside import TORN, keep_cut
from replicad.store.received.received_log import Piece, ReceivedLog, epochs_in
from replicad.store.wal.doubt import sync_log
from replicad.store.wal.frames import FrameWalk
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader, is_segment_name
from replicad.types import DatabaseId, EpochRecord

RECEIVED = "received"
"""The directory, in the data directory."""
INCOMPLETE = "an incomplete frame"


def open_received(
    fs: FileSystem, directory: Path, database_id: DatabaseId, *, segment_bytes: int
) -> tuple[ReceivedLog, list[str]]:
    """The log that a directory holds, durable, and what had to be said: damage, and what was cut off.

    Raises OSError or CorruptionError where the disk cannot be read.
    """
    received = ReceivedLog(fs, directory, database_id, segment_bytes=segment_bytes)
    names = sorted(fs.list(directory))
    for name in names:
        if name.endswith(".tmp"):
            fs.unlink(directory / name)
    # An earlier release left damage here.
    torn = [directory / name for name in names if name.endswith(TORN)]
    keep_cut(fs, torn)
    for path in torn:
        fs.unlink(path)
    paths = [directory / name for name in names if is_segment_name(name)]
    if not paths:
        return received, []

    # What was appended may be in the page cache only: it is claimed as durable from here on.
    sync_log(fs, paths, directory)
    return received, _cut_damage(fs, directory, database_id, received)


def cut_damage(fs: FileSystem, directory: Path, received: ReceivedLog) -> list[str]:
    """Cuts a log that is open where it is damaged, as an opening does; what had to be said, and nothing when
    all of it is good. Nobody else uses the log meanwhile. Raises OSError and PoisonedError."""
    received.sync()
    received.close()
    return _cut_damage(fs, directory, received.database_id, received)


def _cut_damage(fs: FileSystem, directory: Path, database_id: DatabaseId, received: ReceivedLog) -> list[str]:
    notes: list[str] = []
    paths = [directory / name for name in sorted(fs.list(directory)) if is_segment_name(name)]
    pieces: list[Piece] = []
    epochs: list[EpochRecord] = []
    for at, path in enumerate(paths):
        piece, found, damage = _read_piece(fs, path, database_id)
        follows = piece is not None and (not pieces or piece.begin == pieces[-1].end)
        if piece is not None and follows and piece.end != piece.begin:
            pieces.append(piece)
            epochs += found
        if damage is None and piece is not None and follows and piece.end != piece.begin:
            continue

        # Nothing behind damage continues the history. The good part goes on, and the rest comes again.
        reason = damage or ("it does not continue the piece before it" if not follows else "it is empty")
        kept = piece is not None and bool(pieces) and pieces[-1] is piece
        is_torn_tail = (
            follows and path is paths[-1] and (damage in (None, INCOMPLETE) or fs.size(path) <= HEADER_BYTES)
        )
        aside = [] if is_torn_tail else keep_cut(fs, paths[at:])
        notes.append(f"{path}: {reason}" + (f"; kept in {aside[0].parent}" if aside else ""))
        for later in reversed(paths[at + 1 if kept else at :]):
            fs.unlink(later)
        if kept and piece is not None:
            rewrite_file(fs, path, piece.size_bytes)
        fs.sync_directory(directory)
        break
    received.take_over(pieces, epochs)
    return notes


def _read_piece(
    fs: FileSystem, path: Path, database_id: DatabaseId
) -> tuple[Piece | None, list[EpochRecord], str | None]:
    """(the whole frames of a file, None without a good header; the epochs in them; what is wrong)."""
    file = fs.open(path)
    try:
        try:
            header = SegmentHeader.decode(file.read(0, HEADER_BYTES))
        except CorruptionError as error:
            return None, [], error.reason
        if header.database_id != database_id:
            return None, [], "it is of another database"

        size = file.size()
        walk = FrameWalk(file.read, size, database_id, header.previous, HEADER_BYTES)
        end, epochs = header.previous, []
        while (chunk := walk.next()) is not None:
            end = chunk.position
            epochs += epochs_in(chunk.frames)
        damage = None if walk.offset == size else walk.reason if walk.damaged else INCOMPLETE
        return Piece(path, header.epoch, header.previous, end, walk.offset), epochs, damage
    finally:
        file.close()
