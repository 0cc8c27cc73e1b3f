"""The frames of one file, window after window: the only loop over a log file that there is (`proto/log.md`).

`FrameWalk` gives whole frames in their order. `frame_headers` finds single headers again behind damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from replicad import kernels
from replicad.env import ReadFile
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

READ_BYTES = 1 << 20
ANY_SEQUENCE = 2**64 - 1
"""No sequence number is above it: a walk that is given no other limit ends where its file does."""
_UNKNOWN = (Epoch(0), Sequence(0), HistoryHash(0))


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Whole frames of one segment, hence of one epoch, as they lie in the file."""

    frames: bytes
    first_sequence: Sequence
    position: Position
    """After the last of them."""
    batches: int
    commit_time_us: int

    @property
    def last_sequence(self) -> Sequence:
        return self.position.sequence


class FrameWalk:
    """Reads the frames of one file forwards from an offset, as many at a time as a window holds.

    `next` gives whole frames only. All their checksums are right, each body is a batch, and sequence numbers
    and epochs follow each other. A walk that begins after a position also checks the history hash of each
    frame, from that position on. A walk that begins after a sequence number does not, and its caller has to
    compare the first number of a chunk with `last`.

    Memory: one window at a time, or one frame where that is larger (at most 128 MiB, and only after its
    header was checked). Nothing at or behind `end` is read: the file may grow there meanwhile, and the owner
    may move `end` forwards.

    A torn tail or damage raises nothing, because what it means depends on the reader. The walk stays before
    the first frame that is not whole and good, `next` gives None, and `stop` (one of `kernels.SCAN_…`) and
    `reason` say what is there. A file that cannot be read is not damage: the OSError of `read` goes through
    to the caller, and the walk stays where it was.

    A walk owns no file and has no lock: one thread at a time, any thread. Scanning a window of more than
    64 KiB releases the interpreter's lock.
    """

    __slots__ = ("_after", "_database_id", "_read", "end", "last", "offset", "reason", "stop")

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        end: int,
        database_id: DatabaseId,
        after: Position | Sequence,
        offset: int,
    ) -> None:
        """`read(offset, length)` gives fewer bytes only where the file ends. The first frame begins at
        `offset` and comes right after `after`."""
        self._read = read
        self._database_id = database_id
        self._after = after if isinstance(after, Position) else None
        self.end = end
        self.offset = offset
        """Of the next frame."""
        self.last = after.sequence if isinstance(after, Position) else after
        """The sequence number before the next frame."""
        self.stop = kernels.SCAN_END
        self.reason = ""

    @property
    def damaged(self) -> bool:
        """Whether more bytes, or a higher limit, would not help."""
        return self.stop not in (kernels.SCAN_END, kernels.SCAN_PARTIAL, kernels.SCAN_LIMIT)

    def next(self, *, through: int = ANY_SEQUENCE, window_bytes: int = READ_BYTES) -> LogChunk | None:
        """The next frames, at least one; None at the end, at damage, or before a frame that goes beyond
        `through`."""
        data, left = self._window(window_bytes), self.end - self.offset
        scan = self._scan(data, through)
        larger = scan.stop == kernels.SCAN_PARTIAL and not scan.frames
        if larger and kernels.FRAME_HEADER_BYTES <= len(data) < left:
            # One frame is larger than the window. Its header is good, or the scan would say so, and tells how
            # much has to be read. (Without a whole header the file itself ends here, before `end`.)
            data = self._read(self.offset, min(kernels.FrameHeader.decode(data).size, left))
            scan = self._scan(data, through)
        self.stop, self.reason = scan.stop, scan.reason
        if not scan.frames:
            return None
        position = Position(Epoch(scan.epoch), Sequence(scan.last_sequence), HistoryHash(scan.history_hash))
        self.offset += scan.end
        self.last = position.sequence
        if self._after is not None:
            self._after = position
        return LogChunk(
            data if scan.end == len(data) else data[: scan.end],
            Sequence(scan.first_sequence),
            position,
            scan.frames,
            scan.commit_time_us,
        )

    def skip(self, *, through: int = ANY_SEQUENCE, window_bytes: int = READ_BYTES) -> bool:
        """Passes over the frames of a window by their headers, without a look at bodies and history.

        For a walk that begins after a sequence number. Returns whether it came further and may come further
        still: False at the end, at damage, and before a frame that goes beyond `through`.
        """
        assert self._after is None
        data, left = self._window(window_bytes), self.end - self.offset
        scan = kernels.scan_frames(
            data, self._database_id, *_UNKNOWN, stop_sequence=through, check_chain=False, check_body=False
        )
        self.stop, self.reason = scan.stop, scan.reason
        if scan.frames:
            self.offset += scan.end
            self.last = Sequence(scan.last_sequence)
            return scan.stop != kernels.SCAN_LIMIT
        if scan.stop != kernels.SCAN_PARTIAL or len(data) < kernels.FRAME_HEADER_BYTES:
            return False
        header = kernels.FrameHeader.decode(data)
        if header.size > left:
            return False
        # One frame is larger than the window: its header alone says where the next one begins.
        self.offset += header.size
        self.last = Sequence(header.last_sequence)
        return True

    def _window(self, window_bytes: int) -> bytes:
        left = self.end - self.offset
        return self._read(self.offset, min(window_bytes, left)) if left > 0 else b""

    def _scan(self, data: bytes, through: int) -> kernels.FrameScan:
        after = self._after
        if after is None:
            return kernels.scan_frames(
                data, self._database_id, *_UNKNOWN, stop_sequence=through, check_chain=False
            )
        return kernels.scan_frames(
            data, self._database_id, after.epoch, after.sequence, after.history_hash, stop_sequence=through
        )


def frame_headers(
    file: ReadFile, begin: int, end: int, database_id: DatabaseId
) -> Iterator[tuple[int, kernels.FrameHeader]]:
    """(offset, header) of everything from `begin` on that has a frame header's checksum, damage or not."""
    while begin + kernels.FRAME_HEADER_BYTES <= end:
        data = file.read(begin, min(READ_BYTES, end - begin))
        rest = memoryview(data)
        while (at := kernels.find_frame_header(rest, database_id)) >= 0:
            begin += at
            yield begin, kernels.FrameHeader.decode(rest, at)
            begin += 1
            rest = rest[at + 1 :]
        # A header may lie across the end of the window: the next one begins where it could.
        begin += len(rest) - kernels.FRAME_HEADER_BYTES + 1
