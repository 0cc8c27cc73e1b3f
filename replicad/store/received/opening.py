"""Opening the received log of a directory: what is whole of it goes on, and what is not is kept aside."""

from __future__ import annotations

from pathlib import Path

from replicad.env import FileSystem
from replicad.env.atomic import rewrite_file
from replicad.errors import CorruptionError
from replicad.store.received.received_log import Piece, ReceivedLog, epochs_in
from replicad.store.wal.doubt import sync_log
from replicad.store.wal.frames import FrameWalk
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader, is_segment_name
from replicad.types import DatabaseId, EpochRecord

RECEIVED = "received"
"""The directory, in the data directory."""
TORN = ".torn"
"""What a name ends with that was cut off; the next opening removes it."""


def open_received(
    fs: FileSystem, directory: Path, database_id: DatabaseId, *, segment_bytes: int
) -> tuple[ReceivedLog, list[str]]:
    """The log that a directory holds, durable, and what had to be said: damage, and what was cut off.

    Raises OSError or CorruptionError where the disk cannot be read.
    """
    received = ReceivedLog(fs, directory, database_id, segment_bytes=segment_bytes)
    notes: list[str] = []
    names = sorted(fs.list(directory))
    for name in names:
        if name.endswith((TORN, ".tmp")):
            fs.unlink(directory / name)
    paths = [directory / name for name in names if is_segment_name(name)]
    if not paths:
        return received, notes

    # What was appended may be in the page cache only: it is claimed as durable from here on.
    sync_log(fs, paths, directory)

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
        notes.append(f"{path}: {reason}")
        kept = piece is not None and bool(pieces) and pieces[-1] is piece
        for later in reversed(paths[at + 1 if kept else at :]):
            fs.rename(later, later.with_name(later.name + TORN))
        if kept and piece is not None:
            rewrite_file(fs, path, piece.size_bytes)
        fs.sync_directory(directory)
        break
    received.take_over(pieces, epochs)
    return received, notes


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
        damage = None if walk.offset == size else walk.reason or "an incomplete frame"
        return Piece(path, header.epoch, header.previous, end, walk.offset), epochs, damage
    finally:
        file.close()
