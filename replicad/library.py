"""The public names of the package, at their homes. `replicad/__init__.py` gets them here when one is used."""

from replicad.backup.attachments import Attachment
from replicad.backup.collect import Collected
from replicad.backup.engine import BackupEngine
from replicad.backup.info import BackupInfo
from replicad.backup.meta import BackupFile, BackupMeta
from replicad.backup.options import BackupEngineOptions
from replicad.backup.progress import Progress
from replicad.backup.read_only import BackupEngineReadOnly
from replicad.backup.restore.operation import RestoreReport
from replicad.backup.verify import Verification
from replicad.errors import (
    AttachmentError,
    ClosedError,
    ConditionFailed,
    CorruptionError,
    DiskFullError,
    DivergedError,
    GapError,
    InvalidArgument,
    LockedError,
    LogGoneError,
    LoginRefusedError,
    NewerFormatError,
    NotFoundError,
    PoisonedError,
    ProtocolError,
    ReadOnlyError,
    ReplicadError,
    SlotInUseError,
    SlotLostError,
    StoppedError,
    StoreError,
    TargetError,
    WrongDatabaseError,
)
from replicad.feed.follow import Feed, follow
from replicad.options import FamilyOptions, Options
from replicad.store.batch import WriteBatch
from replicad.store.copies.checkpoint import Checkpoint
from replicad.store.copies.cut import Cut
from replicad.store.copies.live_files import LiveFiles, LogFile
from replicad.store.database import Database, open
from replicad.store.directory.options_file import load_latest_options
from replicad.store.reading import Snapshot
from replicad.store.updates import Update
from replicad.store.write.commit import Commit
from replicad.store.write.conditions import AtSequence
from replicad.types import Operation, OperationKind, Position

__all__ = [
    "AtSequence",
    "Attachment",
    "AttachmentError",
    "BackupEngine",
    "BackupEngineOptions",
    "BackupEngineReadOnly",
    "BackupFile",
    "BackupInfo",
    "BackupMeta",
    "Checkpoint",
    "ClosedError",
    "Collected",
    "Commit",
    "ConditionFailed",
    "CorruptionError",
    "Cut",
    "Database",
    "DiskFullError",
    "DivergedError",
    "FamilyOptions",
    "Feed",
    "GapError",
    "InvalidArgument",
    "LiveFiles",
    "LockedError",
    "LogFile",
    "LogGoneError",
    "LoginRefusedError",
    "NewerFormatError",
    "NotFoundError",
    "Operation",
    "OperationKind",
    "Options",
    "PoisonedError",
    "Position",
    "Progress",
    "ProtocolError",
    "ReadOnlyError",
    "ReplicadError",
    "RestoreReport",
    "SlotInUseError",
    "SlotLostError",
    "Snapshot",
    "StoppedError",
    "StoreError",
    "TargetError",
    "Update",
    "Verification",
    "WriteBatch",
    "WrongDatabaseError",
    "follow",
    "load_latest_options",
    "open",
]
