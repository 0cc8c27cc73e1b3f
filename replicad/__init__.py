"""A replication daemon and the log-structured store inside it.

>>> import replicad
>>> with replicad.open("/var/lib/example") as db:        # doctest: +SKIP
...     db.put(b"key", b"value")
...     db.get(b"key")
b'value'

The names are in `replicad.library`, which is loaded when the first of them is used: the program begins in
this package too, and must be able to catch a Ctrl-C while the rest is loaded.
"""

# ruff: noqa: F405

TYPE_CHECKING = False
if TYPE_CHECKING:
    from replicad.library import *  # noqa: F403

__version__ = "0.1.0"

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
    "FamilyOptions",
    "InvalidArgument",
    "LiveFiles",
    "LockedError",
    "LogFile",
    "LogGoneError",
    "NewerFormatError",
    "NotFoundError",
    "Operation",
    "OperationKind",
    "Options",
    "PoisonedError",
    "Position",
    "Progress",
    "ReadOnlyError",
    "ReplicadError",
    "RestoreReport",
    "Snapshot",
    "StoppedError",
    "StoreError",
    "TargetError",
    "Update",
    "Verification",
    "WriteBatch",
    "__version__",
    "load_latest_options",
    "open",
]


if not TYPE_CHECKING:

    def __getattr__(name):
        """A public name, or a module of the package."""
        from importlib import import_module

        if name in __all__:
            value = getattr(import_module("replicad.library"), name)
        elif name.startswith("__"):
            raise AttributeError(f"module 'replicad' has no attribute {name!r}")
        else:
            try:
                value = import_module(f"replicad.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"replicad.{name}":
                    raise
                raise AttributeError(f"module 'replicad' has no attribute {name!r}") from None
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
