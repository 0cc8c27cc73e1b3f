"""The application's own files that belong to the state, and proof that they are those of the cut.

The cut holds the database's files, but nobody holds the application's. So each is opened, hashed, and its
stamp compared: before the cut nobody can have changed it when the file system says that it was changed last
before the cut was taken; and while it was read, when the stamp stayed the same. A digest that the
application itself knows proves more, and then times do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from replicad.backup.attachment_names import check_names
from replicad.env import Env, FileStamp, ReadFile
from replicad.errors import AttachmentError, InvalidArgument
from replicad.store.reading import Snapshot

CLOCK_STEP_SECONDS = 0.02
"""File systems stamp with a clock that steps, by 10 ms at most, and lags behind the one that is read."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file outside the database.

    `name` is the relative path that it is restored to, beneath a directory chosen then; by default the path
    that was given, without its leading "/". Names that some file system takes for one, or cannot keep, are
    refused (`attachment_names`). With `sha256` the content must be that; otherwise it must not have changed
    since the cut.
    """

    path: Path
    name: str | None = None
    sha256: bytes | None = None


Attachments = Callable[[Snapshot], Iterable[str | Path | Attachment]]
"""Is given the snapshot of the cut, and says which files belong to it."""


@dataclass(frozen=True, slots=True)
class PlannedAttachment:
    """An attachment with its final name, and its size when it was looked at first."""

    path: Path
    name: str
    sha256: bytes | None
    size_bytes: int


def wanted(env: Env, attachments: Attachments, snapshot: Snapshot) -> list[PlannedAttachment]:
    """Raises InvalidArgument for names that cannot be restored together, and AttachmentError."""
    found: list[PlannedAttachment] = []
    for item in attachments(snapshot):
        given = item if isinstance(item, Attachment) else Attachment(Path(item))
        path = Path(given.path)
        name = str(path).lstrip("/") if given.name is None else given.name
        try:
            size = env.fs.size(path)
        except FileNotFoundError:
            raise _gone(path) from None
        found.append(PlannedAttachment(path, name, given.sha256, size))
    check_names(item.name for item in found)
    return found


class OpenAttachment:
    """One attachment while it is copied. `taken_us` is when the cut was; None when nobody knows."""

    def __init__(self, env: Env, wanted: PlannedAttachment, taken_us: int | None) -> None:
        self._wanted = wanted
        try:
            self.file: ReadFile = env.fs.open(wanted.path)
        except FileNotFoundError:
            raise _gone(wanted.path) from None
        self._stamp = self.file.stamp()
        if wanted.sha256 is None:
            try:
                _check_unchanged_since(wanted.path, self._stamp, taken_us)
            except BaseException:
                self.file.close()
                raise

    @property
    def size_bytes(self) -> int:
        return self._stamp.size_bytes

    def check(self, sha256: bytes) -> None:
        """After it was read: raises AttachmentError unless what was read is the content at the cut."""
        path = self._wanted.path
        if self._wanted.sha256 is not None:
            if sha256 != self._wanted.sha256:
                raise AttachmentError(
                    f"{path}: its content is not the one that the application named "
                    f"(expected SHA-256 {self._wanted.sha256.hex()}, got {sha256.hex()})"
                )
        elif self.file.stamp() != self._stamp:
            raise AttachmentError(f"{path}: it was changed, replaced or removed while it was read")

    def close(self) -> None:
        self.file.close()


def _check_unchanged_since(path: Path, stamp: FileStamp, taken_us: int | None) -> None:
    if taken_us is None:
        raise InvalidArgument(
            f"{path}: it is not known when the source was in this state, so an attachment needs its SHA-256: "
            "yield Attachment(path, sha256=…)"
        )
    changed_us = max(stamp.changed_ns, stamp.modified_ns) // 1000
    if changed_us > taken_us - CLOCK_STEP_SECONDS * 1_000_000:
        late = (changed_us - taken_us) / 1_000_000
        when = f"{late:.3f} s after the cut" if late > 0 else "at the moment of the cut or after it"
        raise AttachmentError(
            f"{path}: it was changed {when}, so what it holds may not be what the cut means; keep files that "
            "the database names as they are and write new ones, or yield Attachment(path, sha256=…)"
        )


def _gone(path: Path) -> AttachmentError:
    return AttachmentError(
        f"{path}: it is gone, though the cut needs it; keep files until the backup is done"
    )
