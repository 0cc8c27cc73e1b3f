"""Every exception that replicad raises on purpose.

    ReplicadError
    ├── InvalidArgument          a value the caller gave is outside its limits (also a ValueError)
    │   └── NotKnownYet          the archived log ends before the time that was asked for
    ├── ConfigError              a configuration that cannot be used as it stands
    ├── StoreError
    │   ├── CorruptionError      bytes on disk or on the wire are not what was written
    │   ├── ClosedError          the database, or a cut of it, was closed
    │   ├── PoisonedError        a sync failed: nothing is acknowledged any more
    │   ├── DiskFullError        no room; reads go on, writes resume when there is room
    │   ├── ReadOnlyError        a write to something opened for reading
    │   ├── LockedError          another process holds the directory
    │   ├── NewerFormatError     written by a newer version
    │   ├── ConditionFailed      a key is no longer what a conditional batch expects
    │   ├── StoppedError         a backup was told to stop, or given up by a collection
    │   ├── TargetError          a backup target cannot be reached, or refuses
    │   ├── AttachmentError      a file beside the database is not what it was at the cut
    │   ├── LogGoneError         the log no longer holds that sequence number
    │   ├── BatchTooLargeError   a batch that no reply can hold
    │   ├── CatchUpError         a reader beside a writer found no state that stayed long enough
    │   └── NotFoundError        no such database, file or family
    ├── EtcdError                no answer of etcd's says what happened: it is unknown
    ├── ReplicationError
    │   ├── ProtocolError        the peer broke the protocol
    │   ├── WrongDatabaseError   the peer has another database
    │   ├── DivergedError        the histories fork where none may be thrown away
    │   ├── GapError             a batch does not follow the one before it
    │   ├── FencedError          a higher epoch exists
    │   ├── PeerTimeoutError     the peer missed a deadline
    │   ├── TooManySessionsError a primary has no room for one more replica or copy
    │   ├── SessionRefusedError  the peer refused the session
    │   ├── LoginRefusedError    the node refused the user, the secret, or what the user may do
    │   ├── SlotInUseError       another reader has the slot of a feed
    │   ├── SlotLostError        the log after the position of a feed's slot is gone
    │   ├── LinkStoppedError     the two nodes must not replicate as they are
    │   │   ├── BackupRefusedError      a replica must not start from the backups that are there
    │   │   └── WaitingLogFullError    as much log as a delayed replica may hold waits to be applied
    │   ├── UpstreamError        the followed node cannot answer a verification
    │   │   └── UpstreamDamagedError    its own tables are damaged
    │   └── RoleRefused          a change of role is refused
    └── CommandLineError         what ends a verb of the command line
        ├── UsageError           an argument that cannot be meant
        ├── UnreachableError     nobody answers at an address
        │   └── WrongDoorError   somebody does, but not as the caller came: another port, or another TLS
        ├── ReplyError           a node answered with an error
        ├── DifferentError       two nodes hold different data
        ├── DemoError            the demonstration found what must not be
        └── OutputError          standard output cannot be written

A bug is an assertion, never one of these. What steers one part and never leaves it (a merge that is told to
stop, a reply that ends a command) stands beside what raises it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from replicad.version import VERSION


class ReplicadError(Exception):
    """The root of the tree. Each can be pickled and copied: process pools hand them to their callers."""

    def __reduce__(self) -> tuple[Callable[..., ReplicadError], tuple[object, ...]]:
        # Exception's own calls the class with `args`, which is not what a class with other arguments takes.
        return _again, (type(self), self.args, self.__dict__)


def _again(
    kind: type[ReplicadError], args: tuple[object, ...], attributes: dict[str, object]
) -> ReplicadError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class InvalidArgument(ReplicadError, ValueError):
    """A value outside its limits; the message names the value and the limit."""


class NotKnownYet(InvalidArgument):
    """The archive ends before the time that was asked for; a node that runs may soon say more.

    `known_us` is until when nothing more was committed, in microseconds since 1970, and `marked_us` when
    somebody said so last, of whatever; None when nobody did.
    """

    def __init__(self, sequence: int, known_us: int | None, marked_us: int | None) -> None:
        until = ""
        if known_us is not None:
            until = f" (until {datetime.fromtimestamp(known_us / 1e6, UTC).isoformat()} nothing was)"
        super().__init__(
            f"the archived log ends at sequence number {sequence}, before that time: nothing tells whether "
            f"more was committed until then{until}; sequence={sequence} restores all that there is"
        )
        self.known_us, self.marked_us = known_us, marked_us


class ConfigError(ReplicadError):
    """A configuration that cannot be used; the message names the key."""


class StoreError(ReplicadError):
    """Something that the store refuses or cannot do."""


class CorruptionError(StoreError):
    """Bytes that are not what was written.

    `path` and `offset` say where, as far as the raising layer knows; `expected` and `got` say what.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str | Path | None = None,
        offset: int | None = None,
        expected: object = None,
        got: object = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = None if path is None else Path(path)
        self.offset = offset
        self.expected = expected
        self.got = got

    def located(self, path: str | Path, base: int = 0) -> CorruptionError:
        """The same error with its file named and its offset counted from the file's beginning."""
        return CorruptionError(
            self.reason,
            path=path,
            offset=base + (self.offset or 0),
            expected=self.expected,
            got=self.got,
        )

    def __str__(self) -> str:
        text = self.reason
        if self.expected is not None or self.got is not None:
            text += f" (expected {self.expected}, got {self.got})"
        if self.path is not None:
            text = f"{self.path}: offset {self.offset}: {text}"
        return text


class ClosedError(StoreError):
    """The database, or a cut of it, was closed; the message says which, and of a cut why."""


class PoisonedError(StoreError):
    """A sync or append failed; what the kernel did with the pages is unknown, so the store stopped."""


class DiskFullError(StoreError):
    """No room on the file system; nothing of the refused batch was kept."""


class ReadOnlyError(StoreError):
    """A write to a database, checkpoint or backup that was opened for reading."""


class LockedError(StoreError):
    """Another process holds the directory; the message says which."""


class NewerFormatError(StoreError):
    """A file that a later release wrote; the message says which version of which format it needs."""

    @classmethod
    def of(cls, what: str, version: int, readable: int) -> NewerFormatError:
        """`what` is the format, `version` that of the file, `readable` the highest one known here."""
        return cls(f"{what} of version {version}; this program, replicad {VERSION}, reads up to {readable}")


class StoppedError(StoreError):
    """A backup that ended before it was done; what it had copied whole is used by the next one."""


class TargetError(StoreError):
    """A backup target that cannot be reached, or refuses; the message says which, and why."""


class AttachmentError(StoreError):
    """An attachment was changed, replaced or removed after the cut; the message says which, and how."""


class LogGoneError(StoreError):
    """The log no longer holds the sequence number that was asked for."""

    def __init__(self, requested: int, first_available: int) -> None:
        super().__init__(f"sequence number {requested} is gone from the log; it begins at {first_available}")
        self.requested = requested
        self.first_available = first_available


class BatchTooLargeError(StoreError):
    """A batch that no reply can hold."""


class CatchUpError(StoreError):
    """Every state that a reader beside a writer began to open was gone before it had opened it: try again."""


class ConditionFailed(StoreError):
    """A condition of a batch did not hold; nothing of the batch was written.

    `expected` and `got` are a value, a version (AtSequence) or None. `sequence` is where the comparison was
    made: until it is visible, what was found may still be lost.
    """

    def __init__(self, key: bytes, *, expected: object, got: object, sequence: int) -> None:
        super().__init__(f"{_short(key)} is {_short(got)}, not {_short(expected)}")
        self.key = key
        self.expected = expected
        self.got = got
        self.sequence = sequence


def _short(value: object) -> str:
    if value is None:
        return "absent"
    return (
        f"{value[:64]!r}… ({len(value)} bytes)"
        if isinstance(value, bytes) and len(value) > 64
        else repr(value)
    )


class NotFoundError(StoreError):
    """There is no such database, file or column family."""


class EtcdError(ReplicadError):
    """etcd gave no answer, or an error: whether it did what it was asked for is unknown."""


class ReplicationError(ReplicadError):
    """A session between two nodes that cannot go on."""


class ProtocolError(ReplicationError):
    """The peer sent what the protocol does not allow."""


class WrongDatabaseError(ReplicationError):
    """The peer has another database."""


class DivergedError(ReplicationError):
    """The two histories differ where nothing may be thrown away by itself."""


class GapError(ReplicationError):
    """A batch does not begin right after the last one."""


class FencedError(ReplicationError):
    """A higher epoch exists: this node may not write."""


class PeerTimeoutError(ReplicationError):
    """The peer missed a deadline."""


class TooManySessionsError(ReplicationError):
    """There is no room for one more now."""


class SessionRefusedError(ReplicationError):
    """The peer refused the session; `retry` says whether time can mend it."""

    def __init__(self, code: str, reason: str, retry: bool) -> None:
        super().__init__(reason)
        self.code = code
        self.retry = retry


class LoginRefusedError(ReplicationError):
    """The node refused the user or the secret, or the user lacks the role that a feed needs."""


class SlotInUseError(ReplicationError):
    """Another reader has the slot; the message says where it is."""


class SlotLostError(ReplicationError):
    """The log after the slot's position is gone: what its reader keeps in step has to be copied again."""


class LinkStoppedError(ReplicationError):
    """The two nodes must not replicate as they are; the message is for the operator."""


class BackupRefusedError(LinkStoppedError):
    """A replica must not start from what the target has; `code` says why for programs, the message what to
    do."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class WaitingLogFullError(LinkStoppedError):
    """A delayed replica holds as much log as it may: it takes no more until some of that was applied."""

    code = "waiting-log-full"


class UpstreamError(ReplicationError):
    """The other node cannot answer: there is no session, or its own data is damaged."""


class UpstreamDamagedError(UpstreamError):
    """The other node found rot in its own tables."""


class RoleRefused(ReplicationError):
    """A role stays what it is; the message says why and what to do."""


class CommandLineError(ReplicadError):
    """What ends a verb of the command line; its exit code follows from the class (`cli/exits.py`)."""


class UsageError(CommandLineError):
    """An argument that cannot be meant."""


class UnreachableError(CommandLineError):
    """Nobody answers at an address, or the connection broke."""


class DoorFault(Enum):
    """What keeps a caller and a port that answers from understanding each other."""

    NO_TLS = "the caller speaks TLS, the port does not"
    CERTIFICATE = "one side refuses the certificate of the other"
    OTHER_PORT = "it is the port of something else"
    OTHER_PORT_OR_TLS = "it is the port of something else, or one speaks TLS and the other does not"


class WrongDoorError(UnreachableError):
    """Something answers at an address, but not as the client port of a node does that was asked so."""

    def __init__(self, text: str, fault: DoorFault) -> None:
        super().__init__(text)
        self.fault = fault


class ReplyError(CommandLineError):
    """The node answered with an error; `code` is its first word."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class DifferentError(CommandLineError):
    """Two nodes hold different data; the message gives the first difference."""


class DemoError(CommandLineError):
    """The demonstration found something that must not be."""


class OutputError(CommandLineError):
    """What was printed does not arrive. No OSError, which verbs take for one of their files."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(f"cannot write to stdout: {reason.strerror}")
        self.has_no_reader = reason.errno == errno.EPIPE
