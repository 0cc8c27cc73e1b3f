"""Bytes on their way to a target: limited, counted, and hashed as they pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from replicad.backup.progress import Meter
from replicad.backup.source import Readable
from replicad.backup.stop import OperationStop
from replicad.env import ThreadRateLimiter
from replicad.env.filesystem import Bytes
from replicad.errors import CorruptionError


class Flow:
    """What all copies of one operation share. Any thread."""

    def __init__(
        self,
        *,
        read_limit: ThreadRateLimiter,
        write_limit: ThreadRateLimiter,
        meter: Meter,
        stop: OperationStop,
        chunk_bytes: int,
    ) -> None:
        self.meter = meter
        self.stop = stop
        self._read_limit = read_limit
        self._write_limit = write_limit
        self._chunk_bytes = chunk_bytes

    def read(self, file: Readable, length: int, hash: hashlib._Hash) -> Iterator[memoryview]:
        """The first `length` bytes, which `hash` gets too. CorruptionError when there are fewer.

        Each chunk is gone when the next one is asked for: they share one buffer.
        """
        buffer = memoryview(bytearray(min(self._chunk_bytes, length)))
        offset = 0
        while offset < length:
            self.stop.check()
            wanted = min(self._chunk_bytes, length - offset)
            self._read_limit.take(wanted, self.stop.check)
            data = buffer[: file.read_into(offset, buffer[:wanted])]
            if not data:
                raise CorruptionError(
                    "the file ends too early", path=file.path, offset=offset, expected=length, got=offset
                )
            hash.update(data)
            yield data
            offset += len(data)

    def write(self, chunks: Iterable[Bytes]) -> Iterator[Bytes]:
        """The same chunks, counted and at the rate of writing."""
        for data in chunks:
            self._write_limit.take(len(data), self.stop.check)
            yield data
            self.meter.add(len(data))

    def checked(self, file: Readable, length: int, sha256: bytes) -> Iterator[Bytes]:
        """Chunks for a target, which keeps them only if this ends: it raises when they are not what they
        must be, and says whether the source is bad."""
        hash = hashlib.sha256()
        yield from self.write(self.read(file, length, hash))
        if hash.digest() != sha256:
            self._accuse(file, length, sha256, hash.digest())

    def _accuse(self, file: Readable, length: int, expected: bytes, got: bytes) -> None:
        again = hashlib.sha256()
        for _ in self.read(file, length, again):
            pass
        if again.digest() == expected:
            reason = "the source was read wrong once and right the second time: its disk or memory fails"
        else:
            reason = "the source is damaged: this is not what was written when the file was made"
        raise CorruptionError(reason, path=file.path, offset=0, expected=expected.hex(), got=got.hex())
