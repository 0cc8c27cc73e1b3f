"""Where a replica gathers a copy: `bootstrap/incoming/` in its data directory.

    NAME.DIGEST.part   the beginning of a file of that SHA-256: the next attempt goes on where it ends
    NAME.DIGEST.next   that beginning, copied into the file that it goes on in; thrown away at the next start
    NAME.DIGEST.link   a file of the present data that is not verified yet; thrown away too
    NAME               complete, its SHA-256 verified and its content synced

Everything about the list comes from a peer that may be hostile: names must match a strict pattern and occur
once, sizes fit the announced total and the disk; a file is made anew (never through a link), and never grows
beyond its size. What a part holds is trusted only with the whole: a machine that lost power may have kept its
length and not its content, and then that one file begins again, as one does that the disk cannot read. All of
it blocks: it is called in a thread.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from replicad.env import AppendFile, FileSystem
from replicad.env.filesystem import Bytes
from replicad.errors import CorruptionError, DiskFullError, ProtocolError
from replicad.options import KEY_BYTES_MAX, KIB, MIB
from replicad.replication.wire.headers import FileEntry
from replicad.store.manifest.edit import RECORD_BYTES_MAX
from replicad.units import show_size

DIRECTORY = Path("bootstrap") / "incoming"
FILES_MAX = 1_000_000
BLOCK_BYTES = 4 * KIB
"""What a file takes of the disk at least, however small it is."""
META_BYTES_MAX = RECORD_BYTES_MAX + KIB
"""Of a file that is not a table, without what a manifest holds of each table: it is read whole when the copy
opens."""
TABLE_META_BYTES_MAX = 2 * KEY_BYTES_MAX + KIB
"""In a manifest, of one table: its smallest and its largest key, and numbers."""

NAME = re.compile(r"\d{6,20}\.sst|MANIFEST-\d{1,20}|CURRENT|OPTIONS-\d{1,20}\.toml", re.ASCII)
_PART, _NEXT, _LINK = "part", "next", "link"


def check_list(entries: Sequence[FileEntry], size_bytes: int) -> None:
    """Raises ProtocolError unless the list is one that may be written."""
    if len(entries) > FILES_MAX:
        raise ProtocolError(f"a copy of {len(entries)} files; the limit is {FILES_MAX}")
    names = set()
    tables = sum(entry.name.endswith(".sst") for entry in entries)

    for entry in entries:
        if NAME.fullmatch(entry.name) is None:
            raise ProtocolError(f"{entry.name!r} is not the name of a file in a copy")
        if entry.name in names:
            raise ProtocolError(f"{entry.name!r} is twice in the list")
        if not entry.size:
            # Free space would bound no number of such files, and each costs a sync.
            raise ProtocolError(f"{entry.name} has no bytes in the list")
        limit = _size_max(entry.name, tables)
        if limit is not None and entry.size > limit:
            raise ProtocolError(f"{entry.name} has {entry.size} bytes; the limit is {limit}")
        names.add(entry.name)

    total = sum(entry.size for entry in entries)
    if total != size_bytes:
        raise ProtocolError(f"the files of the list have {total} bytes, {size_bytes} were announced")


def _size_max(name: str, tables: int) -> int | None:
    """The limit of a file in a copy of `tables` tables; None for a table, which only the disk bounds."""
    if name.endswith(".sst"):
        return None
    return META_BYTES_MAX + (tables * TABLE_META_BYTES_MAX if name.startswith("MANIFEST") else 0)


class Staging:
    """The incoming directory for one list."""

    def __init__(self, fs: FileSystem, data_dir: Path, entries: Sequence[FileEntry]) -> None:
        self._fs = fs
        self.path = data_dir / DIRECTORY
        self._entries = entries
        self._begun: dict[int, int] = {}

    def prepare(self, local: Mapping[bytes, Path], free_bytes_min: int) -> dict[int, int]:
        """Keeps what is here already and verifies it, removes all else.

        Returns the entries to fetch, each with the length of what is here of it. `local` are immutable files
        of the node's present data by SHA-256, which are linked, not copied. Raises DiskFullError when what is
        missing does not fit.
        """
        self._fs.make_directories(self.path)
        wanted = {entry.name: entry for entry in self._entries}
        parts = {_temporary(entry, _PART): entry for entry in self._entries}

        for name in self._fs.list(self.path):
            path = self.path / name
            if name in parts:
                if self._fs.size(path) > parts[name].size:
                    self._fs.unlink(path)
            elif name not in wanted or not self._is_whole(path, wanted[name]):
                self._fs.unlink(path)

        here = set(self._fs.list(self.path))
        missing = {}
        for index, entry in enumerate(self._entries):
            if entry.name in here or self._link(entry, local.get(entry.sha256)):
                continue
            part = _temporary(entry, _PART)
            missing[index] = self._begun[index] = self._fs.size(self.path / part) if part in here else 0
            if missing[index] == entry.size:
                # Killed between its last byte and its name, or of no bytes at all.
                try:
                    self.writer(index).finish()
                    del missing[index]
                except CorruptionError:
                    missing[index] = self._begun[index] = 0

        self._fs.sync_directory(self.path)

        # A part that is here keeps its room. Each file that is missing takes a block at least, however little
        # it lacks.
        needed = sum(max(self._entries[index].size - size, BLOCK_BYTES) for index, size in missing.items())
        free = self._fs.free_bytes(self.path)
        if needed + free_bytes_min > free:
            raise DiskFullError(
                f"the copy needs {show_size(needed)} more and {show_size(free_bytes_min)} in reserve, "
                f"{show_size(free)} are free"
            )

        return missing

    def writer(self, index: int) -> StagedFile:
        """For an entry that is missing: goes on after what is here of it."""
        return StagedFile(self._fs, self.path, self._entries[index], self._begun.get(index, 0))

    def finish(self) -> None:
        """Makes the names durable; every entry must have been verified."""
        if (found := set(self._fs.list(self.path))) != (listed := {entry.name for entry in self._entries}):
            odd = ", ".join(sorted(found ^ listed))
            raise CorruptionError(f"the copy does not hold just the files of its list: {odd}", path=self.path)
        self._fs.sync_directory(self.path)
        self._fs.sync_directory(self.path.parent)

    def _link(self, entry: FileEntry, source: Path | None) -> bool:
        if source is None:
            return False
        linked = self.path / _temporary(entry, _LINK)
        try:
            self._fs.link(source, linked)
            whole = self._is_whole(linked, entry)
        except OSError:
            whole = False  # Another file system.
        if not whole:
            self._fs.unlink(linked)
            return False
        self._fs.rename(linked, self.path / entry.name)
        self._fs.unlink(self.path / _temporary(entry, _PART))
        return True

    def _is_whole(self, path: Path, entry: FileEntry) -> bool:
        file = self._fs.open(path)
        try:
            if file.size() != entry.size:
                return False
            digest = hashlib.sha256()
            for offset in range(0, entry.size, MIB):
                digest.update(file.read(offset, MIB))
            return digest.digest() == entry.sha256
        except OSError:
            return False  # A disk that cannot read it: the primary has it.
        finally:
            file.close()


class StagedFile:
    """One file that arrives in order, of which `begun_bytes` are here."""

    def __init__(self, fs: FileSystem, directory: Path, entry: FileEntry, begun_bytes: int) -> None:
        self._fs = fs
        self._entry = entry
        self._path = directory / _temporary(entry, _PART)
        self._digest = hashlib.sha256()
        self.offset = 0
        self.finished = False
        begun = directory / _temporary(entry, _NEXT)
        fs.unlink(begun)
        self._file: AppendFile = fs.create(begun)
        if begun_bytes:
            self._copy_from(self._path, begun_bytes)
        fs.rename(begun, self._path)

    def append(self, data: Bytes) -> None:
        """Raises ProtocolError for more bytes than the list says."""
        if self.offset + len(data) > self._entry.size:
            raise ProtocolError(f"{self._entry.name} is longer than the {self._entry.size} bytes of the list")
        self._file.append(data)
        self._digest.update(data)
        self.offset += len(data)

    def finish(self) -> None:
        """Verifies, syncs and names the file; CorruptionError when its SHA-256 is not the list's."""
        if self.offset != self._entry.size:
            raise ProtocolError(f"{self._entry.name} ends at {self.offset} of {self._entry.size} bytes")

        got = self._digest.digest()
        if got != self._entry.sha256:
            # The part goes: the next attempt would go on after bytes that are wrong.
            self._file.close()
            self._fs.unlink(self._path)
            raise CorruptionError(
                f"{self._entry.name} as it came has another SHA-256",
                expected=self._entry.sha256.hex(),
                got=got.hex(),
            )

        # The content is durable before the file has its name: a name in the list means a file that is whole.
        self._file.sync()
        self._file.close()
        self._fs.rename(self._path, self._path.with_name(self._entry.name))
        self.finished = True

    def close(self) -> None:
        """Leaves a file that was not finished for the next attempt."""
        self._file.close()

    def _copy_from(self, path: Path, length: int) -> None:
        # The digest is of the whole file, so what is here of it is read once more.
        part = self._fs.open(path)
        try:
            while self.offset < length:
                try:
                    data = part.read(self.offset, min(MIB, length - self.offset))
                except OSError as error:
                    self._fs.unlink(path)  # The next attempt begins the file anew.
                    raise CorruptionError(str(error), path=path, offset=self.offset) from error

                if not data:
                    raise CorruptionError("a part got shorter", path=path, expected=length, got=self.offset)

                self.append(data)
        except BaseException:
            self._file.close()
            raise
        finally:
            part.close()


def _temporary(entry: FileEntry, suffix: str) -> str:
    """The digest is in the name, so that what is left of another copy is never taken for this one's."""
    return f"{entry.name}.{entry.sha256.hex()}.{suffix}"
