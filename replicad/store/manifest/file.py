"""Manifest files and CURRENT, which names the one that counts (`proto/manifest.md`).

    manifest = header (32 bytes), record*
    header   = magic "RPLCDMAN", version u32, database id 16 bytes, crc32c u32 of the 28 bytes before
    record   = length u32, crc32c u32 of (database id, u64 offset of the record, payload), payload: an edit
    CURRENT  = name, " ", length, " ", crc32c of "name length" in 8 hex digits, "\\n"

The length in CURRENT is a lower bound of what was durable: damage within it is corruption, a record cut short
after it is the tail of an edit that was never reported. Owned by the store's manifest lock.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from replicad import kernels
from replicad.env import AppendFile, FileSystem, is_no_room
from replicad.env.atomic import stage_file
from replicad.errors import (
    CorruptionError,
    DiskFullError,
    InvalidArgument,
    NewerFormatError,
    NotFoundError,
)
from replicad.store.manifest.edit import RECORD_BYTES_MAX, Edit, decode_edit, encode_edit
from replicad.store.manifest.state import ManifestState
from replicad.types import DatabaseId, FileNumber

MAGIC = b"RPLCDMAN"
VERSION = 1
HEADER_BYTES = 32
ROTATE_BYTES = 4 << 20
TABLES_A_RECORD = 1000
"""Even with the longest keys they take half of what a record may have."""

_HEADER = struct.Struct("<8sI16s")
_RECORD = struct.Struct("<II")
_MAP = re.compile(rb"[\x80-\x8f\xde]")
"""How a msgpack map begins, as every payload does."""
_CURRENT = re.compile(rb"(MANIFEST-\d{6,}) (\d{1,15}) ([0-9a-f]{8})\n")


def manifest_name(number: FileNumber) -> str:
    return f"MANIFEST-{number:06d}"


def encode_header(database_id: DatabaseId) -> bytes:
    body = _HEADER.pack(MAGIC, VERSION, database_id)
    return body + kernels.crc32c(body).to_bytes(4, "little")


def decode_header(data: bytes) -> DatabaseId:
    if len(data) < HEADER_BYTES:
        raise CorruptionError("the manifest header is cut", offset=0, expected=HEADER_BYTES, got=len(data))
    body, checksum = data[: HEADER_BYTES - 4], int.from_bytes(data[HEADER_BYTES - 4 : HEADER_BYTES], "little")
    if (actual := kernels.crc32c(body)) != checksum:
        raise CorruptionError("manifest header checksum", offset=0, expected=checksum, got=actual)
    magic, version, database_id = _HEADER.unpack(body)
    if magic != MAGIC:
        raise CorruptionError("not a manifest", offset=0, expected=MAGIC, got=magic)
    if version > VERSION:
        raise NewerFormatError.of("manifest", version, VERSION)
    return DatabaseId(database_id)


def encode_record(database_id: DatabaseId, offset: int, edit: Edit) -> bytes:
    """Raises InvalidArgument for what could not be read back: written, it would take the database along."""
    payload = encode_edit(edit)
    if len(payload) > RECORD_BYTES_MAX:
        raise InvalidArgument(
            f"an edit of the manifest has at most {RECORD_BYTES_MAX} bytes, not {len(payload)}"
        )
    try:
        decode_edit(payload)
    except CorruptionError as error:
        raise InvalidArgument(f"the manifest cannot hold this: {error.reason}") from error
    return _RECORD.pack(len(payload), _record_checksum(database_id, offset, payload)) + payload


def _record_checksum(database_id: DatabaseId, offset: int, payload: bytes) -> int:
    return kernels.crc32c(payload, kernels.crc32c(database_id + offset.to_bytes(8, "little")))


def decode_records(data: bytes, database_id: DatabaseId) -> tuple[list[tuple[int, bytes]], int, str | None]:
    """All whole records as (offset, payload), where they end, and what is wrong there, if anything."""
    records: list[tuple[int, bytes]] = []
    offset = HEADER_BYTES
    while offset < len(data):
        if len(data) - offset < _RECORD.size:
            return records, offset, "a record header is cut"

        length, checksum = _RECORD.unpack_from(data, offset)
        begin = offset + _RECORD.size
        if length > RECORD_BYTES_MAX or length > len(data) - begin:
            return records, offset, "a record is cut"

        payload = data[begin : begin + length]
        if _record_checksum(database_id, offset, payload) != checksum:
            return records, offset, "record checksum"

        records.append((offset, payload))
        offset = begin + length
    return records, offset, None


def _record_follows(data: bytes, database_id: DatabaseId, start: int) -> bool:
    """Whether a valid record begins anywhere at or after `start`.

    Each record is durable before the next one is written, so damage before a valid one is not a torn tail.
    """
    for found in _MAP.finditer(data, start + _RECORD.size):
        begin = found.start()
        offset = begin - _RECORD.size
        length, checksum = _RECORD.unpack_from(data, offset)
        if 0 < length <= len(data) - begin and checksum == _record_checksum(
            database_id, offset, data[begin : begin + length]
        ):
            return True
    return False


def encode_current(name: str, length: int) -> bytes:
    text = f"{name} {length}".encode()
    return text + b" %08x\n" % kernels.crc32c(text)


def decode_current(data: bytes) -> tuple[str, int]:
    match = _CURRENT.fullmatch(data)
    if match is None or int(match[3], 16) != kernels.crc32c(match[1] + b" " + match[2]):
        raise CorruptionError("CURRENT does not name a manifest", offset=0)
    return match[1].decode(), int(match[2])


def load(fs: FileSystem, directory: Path, *, of_copy: bool = False) -> ManifestState:
    """The state that `directory` holds; raises NotFoundError, CorruptionError or NewerFormatError.

    `of_copy`: it was written in one go and came from elsewhere, so there is no torn tail to leave out.
    """
    current = directory / "CURRENT"
    try:
        name, bound = decode_current(fs.read_file(current))
    except FileNotFoundError:
        raise NotFoundError(f"{directory} holds no database (there is no CURRENT file)") from None
    except CorruptionError as error:
        raise error.located(current) from None

    path = directory / name
    try:
        data = fs.read_file(path)
    except FileNotFoundError:
        raise CorruptionError(f"CURRENT names {name}, which is missing", path=current, offset=0) from None
    try:
        # A copy was written in one go, so all of it was durable, whatever CURRENT says.
        return _state_of(data, len(data) if of_copy else bound)
    except CorruptionError as error:
        raise error.located(path) from None
    except NewerFormatError as error:
        raise NewerFormatError(f"{path}: {error}") from None


def _state_of(data: bytes, bound: int) -> ManifestState:
    database_id = decode_header(data)
    records, end, damage = decode_records(data, database_id)
    if end < bound or (damage is not None and _record_follows(data, database_id, end + 1)):
        raise CorruptionError(damage or "the manifest ends before what was synced", offset=end)
    state: ManifestState | None = None
    for offset, payload in records:
        try:
            edit = decode_edit(payload)
            state = ManifestState.of(edit) if state is None else state.apply(edit)
        except CorruptionError as error:
            raise CorruptionError(error.reason, offset=offset) from None
    if state is None:
        raise CorruptionError(damage or "the manifest has no record", offset=end)
    return state


class ManifestWriter:
    """Appends edits, each durable before `append` returns, and starts a new file when one has grown."""

    def __init__(
        self,
        fs: FileSystem,
        directory: Path,
        state: ManifestState,
        *,
        remove: Callable[[list[Path]], None] | None = None,
        without_room: bool = False,
    ) -> None:
        """Starts a new file that holds `state`, so that a torn tail of the last one is left behind. Later
        files that are superseded go to `remove`, or without it are unlinked at once.

        `without_room`: when there is no room for it, the last file counts until the first edit that finds
        some; nothing that it does not know may be removed before. Else raises DiskFullError.
        """
        self.state = state
        self._fs = fs
        self._directory = directory
        self._file: AppendFile | None = None
        self._rotate_bytes = ROTATE_BYTES
        """Beyond the least, twice what the state itself takes: else each edit would write it whole."""
        self._remove = remove or self._unlink
        try:
            self._start_file(state)
        except DiskFullError:
            if not without_room:
                raise

    @property
    def has_file(self) -> bool:
        """Whether there was room for a file."""
        return self._file is not None

    @property
    def path(self) -> Path:
        assert self._file is not None
        return self._file.path

    @property
    def size_bytes(self) -> int:
        assert self._file is not None
        return self._file.size

    def append(self, edit: Edit) -> None:
        """Makes the edit durable. Raises OSError, after which the manifest must not be written any more, or
        DiskFullError or InvalidArgument, and then nothing has changed."""
        state = self.state.apply(edit)
        file = self._file

        # The database was opened without room for a file. Older manifests go only now: until this edit found
        # room, the last of them was the one that counted.
        if file is None:
            self._start_file(state)
            self._remove(_stale_manifests(self._fs, self._directory))
            return

        if file.size > self._rotate_bytes and self._could_start_file(state):
            return
        try:
            file.append(encode_record(state.database_id, file.size, edit))
        except OSError as error:
            if not is_no_room(error):
                raise

            # Part of the record may be in the file: the next edit must not come after it.
            file.discard_tail()
            raise DiskFullError(f"{file.path}: no room for an edit") from error

        file.sync()
        self.state = state

    def close(self, final: Edit) -> None:
        """Writes a last file, whole and durable, so that any later damage to it is known for what it is."""
        self._start_file(self.state.apply(final))
        self.abandon()

    def abandon(self) -> None:
        """Closes the file as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _could_start_file(self, state: ManifestState) -> bool:
        """False, with nothing changed, when there is no room: the old file grows on, and the next edit tries
        again."""
        try:
            self._start_file(state)
        except DiskFullError:
            return False
        return True

    def _start_file(self, state: ManifestState) -> None:
        """DiskFullError leaves the old file as the one that counts."""
        previous = self._file
        number = state.next_file
        state = state.apply(Edit(next_file=FileNumber(number + 1)))

        current = self._directory / "CURRENT"

        try:
            file = write_manifest(self._fs, self._directory, number, state)
            staged = stage_file(self._fs, current, encode_current(file.path.name, file.size))
            self._fs.rename(staged, current)
        except OSError as error:
            if not is_no_room(error):
                raise
            self._fs.unlink(self._directory / manifest_name(number))
            raise DiskFullError(f"{self._directory / manifest_name(number)}: no room") from error

        # The rename has made the new file the one that counts. The old one goes only when that is durable.
        self._file, self.state = file, state
        self._fs.sync_directory(self._directory)
        self._rotate_bytes = max(ROTATE_BYTES, 2 * file.size)

        if previous is not None:
            previous.close()
            self._remove([previous.path])

    def _unlink(self, paths: list[Path]) -> None:
        for path in paths:
            self._fs.unlink(path)


def remove_stale_manifests(fs: FileSystem, directory: Path) -> None:
    """Removes every manifest but the one that CURRENT names."""
    for path in _stale_manifests(fs, directory):
        fs.unlink(path)


def _stale_manifests(fs: FileSystem, directory: Path) -> list[Path]:
    current, _ = decode_current(fs.read_file(directory / "CURRENT"))
    names = (name for name in fs.list(directory) if name.startswith("MANIFEST-"))
    return [directory / name for name in names if name != current]


def encode_manifest(state: ManifestState) -> bytes:
    """A manifest of that state: one record, and more for tables beyond TABLES_A_RECORD."""
    whole = state.whole()
    data = encode_header(state.database_id)
    edit = replace(whole, add=whole.add[:TABLES_A_RECORD])
    data += encode_record(state.database_id, len(data), edit)
    for begin in range(TABLES_A_RECORD, len(whole.add), TABLES_A_RECORD):
        edit = Edit(add=whole.add[begin : begin + TABLES_A_RECORD])
        data += encode_record(state.database_id, len(data), edit)
    return data


def write_manifest(fs: FileSystem, directory: Path, number: FileNumber, state: ManifestState) -> AppendFile:
    """A new manifest file that holds `state`, synced with its name, open for appending."""
    path = directory / manifest_name(number)
    fs.unlink(path)
    file = fs.create(path)
    try:
        file.append(encode_manifest(state))
        file.sync()
        fs.sync_directory(directory)
    except BaseException:
        file.close()
        raise
    return file
