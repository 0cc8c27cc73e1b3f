"""One client, as its commands see it: what it reads and writes, what it is called, when its turn is over.

    command --> ClientState --> the store, the open WriteGroup, its ReplyQueue

After a write the client sees the newest state: its own EXEC under way, then the open group, then the store.
A reply that shows what is not visible yet waits in the queue until it is. This file knows neither the socket
nor the commands: `Execution` calls the commands, and acts on `stopped` after each. The loop's thread owns it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicad import kernels
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import (
    BatchTooLargeError,
    ConditionFailed,
    ConfigError,
    CorruptionError,
    InvalidArgument,
    LogGoneError,
    NotFoundError,
    ReplicadError,
    RoleRefused,
    StoppedError,
)
from replicad.net.guests import network_of
from replicad.replication.primary.feed_slots import FeedReader
from replicad.server import refusals
from replicad.server.access.roles import ALL, Rights, Role
from replicad.server.access.users import User
from replicad.server.channels import Message
from replicad.server.interfaces import Name, Reader
from replicad.server.parts import part_of
from replicad.server.refusals import Refused
from replicad.server.replies import NIL_BULK, bulk, error, nil, push
from replicad.server.reply_queue import ReplyQueue
from replicad.server.requests import Request
from replicad.server.server_state import ServerState
from replicad.server.transaction import Transaction
from replicad.server.watches import WatchedKeys
from replicad.store.batch import WriteBatch

log = get_logger()

# Why nothing of this client is executed at the moment: bits of `ClientState.stopped`.
BUSY = 1  # a command is under way elsewhere
CHOKED = 2  # much is waiting to be written, to the store or to the client
UNREAD = 4  # the client does not take its output
QUITTING = 8  # nothing more will be executed
YIELDING = 16  # others have their turn
WAITING = 32  # another client's command goes on in pieces, and the next one here must not come in between
TURN_OVER = 64  # a command took long: others have their turn after it

LARGE_BYTES = 16 * 1024
"""From here on a value counts: `ClientState.weigh`."""
LARGE_BYTES_MAX = 8 << 20
"""Of large values that are on their way at once."""
REFUSALS_BEFORE_LOGIN_MAX = 20
LIMITS_BEFORE_LOGIN = kernels.RequestLimits(
    arguments_max=16, bulk_bytes_max=16 * 1024, request_bytes_max=32 * 1024, inline_bytes_max=4 * 1024
)
"""Of a request: who is not known yet may make the server keep that much."""
REFUSALS = (
    InvalidArgument,
    NotFoundError,
    ConfigError,
    RoleRefused,
    ConditionFailed,
    BatchTooLargeError,
    LogGoneError,
    StoppedError,
)
"""Of ours; they say what was wrong with the request, or that somebody ended it. The message is the reply."""
_MISSING: Any = object()


class ClientState:
    def __init__(self, server: ServerState, peer: str = "") -> None:
        self.server = server
        self.peer = peer
        self.id = 0
        self.name = b""
        self.library = b""
        self.user = self.first_user = server.login.users.anonymous
        self.is_by_certificate = False
        """Whether its certificate has logged it in, and nothing else since."""
        self._came_by_certificate = False
        self.rights: Rights = ALL
        """What the user may do in the family that is selected."""
        self.is_limited = False
        """Whether there is anything that it may not now."""
        self.only_hears = False
        """Whether it has subscribed in RESP2, where messages stand in the place of replies."""
        self._refused_before_login = 0
        self.library_version = b""
        self.nil = NIL_BULK
        self.connected_at = server.now()
        self.command_name = "NULL"
        """Of the last command that Python executed, or of the one under way."""

        # What it sees and writes.
        self.get = server.store.get
        self.replies = ReplyQueue(server.committer.holding)
        self.port = kernels.ClientPort(server.engine, self.replies, server.request_limits)
        self.port.last_input_at = self.connected_at
        self.family = 0
        self.messages: list[Message] = []
        """Published, and not among the replies yet."""
        self.settle_rights()
        self.transaction: Transaction | None = None
        self.direct = True
        """No EXEC is under way and the family is the default one: if nothing is held either, reads may show
        what is visible there."""
        self.annotations: list[bytes] = []
        self.annotation_bytes = 0

        # What MULTI queues, and what WATCH makes EXEC depend on.
        self.queued: list[Request] | None = None
        self.queued_bytes = 0
        self.queue_broken = False
        self.watched = WatchedKeys()
        self.feed_reader: FeedReader | None = None
        """For the slot of which feed it reads the log."""

        # How it takes its turns.
        self.stopped = 0
        self.turn_ends_at = 0.0
        self.large_bytes = 0
        self.ending = False
        """Nothing more is read from it; it gets what it asked for before."""
        self.gone = False
        """Its connection is lost. Read in threads, too."""

    # Reading.

    @property
    def held(self) -> bool:
        """Whether replies are held back: what the client reads must not be older than what they say."""
        return self.replies.holds

    def read(self, key: bytes) -> bytes | None:
        """The value that this client must see now: after its own writes, its own EXEC included."""
        if self.transaction is not None or self.held:
            return self.read_newest(key)
        return self.server.store.get(key, family=self.family)

    def contains(self, key: bytes) -> bool:
        """Whether `read` would find a value, which is not copied."""
        if self.transaction is not None or self.held:
            return self.contains_newest(key)
        return self.server.store.contains(key, family=self.family)

    def read_part(self, key: bytes, first: int, last: int) -> tuple[int, bytes]:
        """(length, bytes from `first` through `last`) of what `read` would find; only the part is copied."""
        if self.transaction is None and not self.held:
            return self.server.store.part(key, first, last, family=self.family)
        value = self._written(key)
        if value is not _MISSING:
            return part_of(value or b"", first, last)
        part = self._reader.part(key, first, last, family=self.family)
        self._hold_newest()
        return part

    def read_many(self, keys: list[bytes]) -> list[bytes | None]:
        if self.transaction is None and not self.held:
            return self.server.store.multi_get(keys, family=self.family)
        return [self.read(key) for key in keys]

    def read_newest(self, key: bytes) -> bytes | None:
        """The value that the next write would replace; this reply waits until it is visible."""
        value: bytes | None = self._written(key)
        if value is _MISSING:
            value = self._reader.get(key, family=self.family)
            self._hold_newest()
        return value

    def contains_newest(self, key: bytes) -> bool:
        """Whether `read_newest` would find a value, which is not copied."""
        value = self._written(key)
        if value is not _MISSING:
            return value is not None
        found = self._reader.contains(key, family=self.family)
        self._hold_newest()
        return found

    def _written(self, key: bytes) -> Any:
        """What the EXEC under way or the open group makes of the key (None: it deletes it), or _MISSING."""
        group, transaction = self.server.group, self.transaction
        if transaction is not None:
            value = transaction.overlay.get(self.name_of(key), _MISSING)
            if value is not _MISSING:
                return value

        # What the open group writes may still fail: a reply that shows it must wait for it, and fail with it.
        found = group.lookup(key, self.family)
        if not found:
            return _MISSING
        if transaction is None:
            group.depend(self.replies)
        else:
            transaction.saw_group = True
        return found[0]

    @property
    def _reader(self) -> Reader:
        """Of the state below that."""
        return self.server.store.newest if self.transaction is None else self.transaction.reader

    def _hold_newest(self) -> None:
        """After a look at the newest state: another thread may append to it meanwhile."""
        self.hold(self.server.store.appended_sequence)

    def hold(self, sequence: int) -> None:
        """Keeps back this command's reply, and all after it, until `sequence` is visible. Within EXEC that is
        done for the whole of it (`finish_transaction`)."""
        if self.transaction is None:
            self.replies.hold(sequence, self.server.store.latest_sequence)

    # Writing.

    def put(self, key: bytes, value: bytes) -> None:
        """Writes one key as a batch of its own, or as a part of the EXEC under way."""
        family = self.family
        if family:
            self.check_family()
        transaction = self.transaction
        if transaction is not None:
            transaction.open_batch().put(key, value, family)
            transaction.overlay[self.name_of(key)] = value
            return

        # A pair needs no batch object, and most writes are one.
        linked = self.server.linked
        if self.annotations or (family in linked.families and not linked.kernel_may_stamp(key, value)):
            batch = self.begin_batch()
            batch.put(key, value, family)
            self._commit(batch)
        else:
            self.server.group.put(self.replies, key, value, family)
        if len(value) > LARGE_BYTES:
            self.weigh(len(value))

    def write(self, changes: dict[bytes, bytes | None]) -> None:
        """Writes (or, for None, deletes) several keys in one batch, at once."""
        for _ in self.write_in_pieces(changes):
            pass

    def write_in_pieces(self, changes: dict[bytes, bytes | None]) -> Iterator[None]:
        """The same with pauses between the turns; nothing is written before the last."""
        transaction, family = self.transaction, self.family
        self.check_family()
        batch = self.begin_batch() if transaction is None else transaction.open_batch()

        for key, value in changes.items():
            if value is None:
                batch.delete(key, family)
            else:
                batch.put(key, value, family)
            if transaction is not None:
                transaction.overlay[(family, key) if family else key] = value
            if self.turn_is_over():
                yield

        # Only now: what others read between the pieces must not show half of the batch.
        if transaction is None:
            self._commit(batch)

    def _commit(self, batch: WriteBatch) -> None:
        """Adds the batch to the group; this command's reply waits for it."""
        if self.server.linked.families:
            self.server.linked.stamp(batch)
        self.server.group.add(self.replies, batch)
        if self.annotations:
            self.forget_annotations()

    def begin_batch(self) -> WriteBatch:
        """A batch that carries the annotations which wait for one."""
        batch = self.server.new_batch()
        for data in self.annotations:
            batch.put_log_data(data)
        return batch

    def forget_annotations(self) -> None:
        self.annotations = []
        self.annotation_bytes = 0

    def hold_written(self, sequence: int) -> None:
        """Keeps back this command's reply: it is of what was written just now, up to `sequence`."""
        self.replies.hold_written(sequence)
        self.server.committer.store_moved()

    # Who it is.

    def come_as(self, user: User, *, by_certificate: bool = False) -> None:
        """Before its first request."""
        self.first_user = user
        self._came_by_certificate = by_certificate
        self.log_in(user, by_certificate=by_certificate)

    def come_back(self) -> None:
        """As whom it came, if that user is still the same, and certificates still log in."""
        login = self.server.login
        stays = login.users.still_has(self.first_user)
        if self._came_by_certificate and not login.by_certificate:
            stays = False
        user = self.first_user if stays else login.users.anonymous
        self.log_in(user, by_certificate=stays and self._came_by_certificate)

    def log_in(self, user: User, *, by_certificate: bool = False) -> None:
        self.user = user
        self.is_by_certificate = by_certificate
        self.settle_rights()
        if not self.is_stranger:
            self.server.strangers.remove(self)
        elif self.id:
            self.server.strangers.add(self, network_of(self.host))

    @property
    def is_stranger(self) -> bool:
        """Whether it has yet to say who it is."""
        users = self.server.login.users
        return not users.is_open and self.user == users.anonymous

    def settle_rights(self) -> None:
        """What it may do now: as this user, in this family, with what it has subscribed to."""
        family = None
        if self.user.families is not None:
            named = {number: name for name, number in self.server.store.families.items()}
            family = named.get(self.family)
        rights = self.rights = self.user.rights_in(family)
        if Role.ADMIN not in rights:
            self.server.monitors.forget(self)
        if Role.MONITOR not in rights:
            self.server.channels.forget(self)
        self.only_hears = self.protocol == 2 and self.has_subscribed
        self.is_limited = rights != ALL or self.only_hears

        # The kernel executes what the user may do, and leaves to Python what is refused.
        port = self.port
        if self.only_hears:
            port.granted = kernels.TAKES_NOTHING
        elif Role.WRITE in rights:
            port.granted = kernels.TAKES_ALL
        else:
            port.granted = kernels.TAKES_READS if Role.READ in rights else kernels.TAKES_NOTHING
        is_known = bool(rights)
        if port.one_by_one == is_known:
            port.one_by_one = not is_known
            port.set_limits(self.server.request_limits if is_known else LIMITS_BEFORE_LOGIN)

    def hear(self) -> None:
        """What was published comes behind the replies that are ready."""
        for message in self.messages:
            self.replies.append(push(map(bulk, message), self.protocol))
        self.messages.clear()

    def forbid(self, command: str) -> bytes:
        """The refusal of a command. Who does nothing but collect them before it logs in is sent away."""
        if self.user.rights:
            self.server.login.refused_commands += 1
            return refusals.not_permitted(self.user.name, command)
        self._refused_before_login += 1
        if self._refused_before_login >= REFUSALS_BEFORE_LOGIN_MAX:
            self.quit()
        return refusals.NOT_LOGGED_IN

    @property
    def host(self) -> str:
        return self.peer.rpartition(":")[0]

    # Families.

    def select(self, family: int) -> None:
        """The column family that keys are of from now on."""
        self.family = self.port.family = family
        self._settle_direct()
        if self.user.families is not None:
            self.settle_rights()

    def check_family(self) -> None:
        """Refuses to write to a family that was dropped since it was selected: its group would fail."""
        if self.family and self.family not in self.server.store.families.values():
            raise Refused(refusals.NO_SUCH_DATABASE)

    def name_of(self, key: bytes) -> Name:
        return (self.family, key) if self.family else key

    def _settle_direct(self) -> None:
        self.direct = self.transaction is None and not self.family

    # Transactions.

    def begin_transaction(self, transaction: Transaction) -> None:
        """From here on the commands see what the transaction has written, and write into its batch alone."""
        self.transaction = transaction
        self._settle_direct()

    def end_transaction(self) -> None:
        self.transaction = None
        self._settle_direct()

    def commit_transaction(self, transaction: Transaction) -> None:
        """Adds what EXEC wrote to the group; its reply waits for what it wrote and saw."""
        if transaction.batch is not None:
            self._commit(transaction.batch)
        elif transaction.saw_group:
            self.server.group.depend(self.replies)
        elif self.server.node.is_writable:
            self.hold(self.server.store.appended_sequence)

    def discard(self) -> None:
        """Forgets the queued commands and the watched keys."""
        self.queued = None
        self.queued_bytes = 0
        self.unwatch()

    def end_reading(self) -> None:
        """Gives up the slot of a feed that this connection reads for."""
        reader, self.feed_reader = self.feed_reader, None
        if reader is not None and reader.slots is not None:
            reader.slots.ended(reader)

    def unwatch(self) -> None:
        """Forgets the watched keys."""
        self.server.watches.forget(self.watched)
        self.watched = WatchedKeys()

    # Turns and flow: `Execution` acts on them after the command.

    def turn_is_over(self) -> bool:
        """Whether a command that could take long should pause here, and let others have their turn."""
        return self.server.now() > self.turn_ends_at

    def end_turn_if_over(self) -> None:
        if self.turn_is_over():
            self.stopped |= TURN_OVER

    def weigh(self, size: int) -> None:
        """Counts a large value on its way to the store or the client; when many are, the next commands
        wait.
        """
        if size > LARGE_BYTES:
            self.large_bytes += size
            if self.large_bytes > LARGE_BYTES_MAX:
                self.stopped |= CHOKED

    def quit(self) -> None:
        """Executes nothing more; the connection closes when its last reply is out."""
        self.stopped |= QUITTING
        self.ending = True

    @property
    def may_be_direct(self) -> bool:
        """Whether its next simple commands are any client's: nothing queues or annotates them, and no EXEC
        depends on what it watches."""
        return self.queued is None and not self.annotations and not self.watched.versions

    def speak(self, protocol: int) -> None:
        """The version of the protocol from now on: 2 or 3."""
        self.port.is_resp3 = protocol == 3
        self.nil = nil(protocol)
        self.settle_rights()

    @property
    def protocol(self) -> int:
        return 3 if self.port.is_resp3 else 2

    @property
    def is_busy(self) -> bool:
        """Whether a command is under way in a thread, or waits for something."""
        return bool(self.stopped & BUSY)

    # What others are told about it.

    @property
    def has_subscribed(self) -> bool:
        return self.server.channels.count(self) > 0

    def describe(self) -> bytes:
        """The line of CLIENT LIST."""
        now = self.server.now()
        fields = {
            "id": self.id,
            "addr": self.peer,
            "laddr": "{}:{}".format(*self.server.address),
            "name": self.name.decode(),
            "age": int(now - self.connected_at),
            "idle": int(now - self.port.last_input_at),
            "flags": self._flags(),
            "db": self.family,
            "sub": self.server.channels.channels.count(self),
            "psub": self.server.channels.patterns.count(self),
            "user": self.user.name,
            "multi": -1 if self.queued is None else len(self.queued),
            "cmd": self.port.command_name or self.command_name,
            "resp": self.protocol,
            "lib-name": self.library.decode(),
            "lib-ver": self.library_version.decode(),
        }
        return " ".join([f"{name}={value}" for name, value in fields.items()]).encode()

    def _flags(self) -> str:
        """As Redis's: O watches with MONITOR, P has subscribed, x is in MULTI, N is none of these."""
        flags = "O" if self in self.server.monitors.clients else ""
        flags += "P" if self.has_subscribed else ""
        return flags + ("x" if self.queued is not None else "") or "N"

    def explain(self, cause: Exception, command_name: str = "") -> bytes:
        """The reply to a command that raised; what is not the client's fault is logged. A command within EXEC
        gives its own name."""
        if isinstance(cause, Refused):
            return cause.reply
        if isinstance(cause, REFUSALS):
            return error(f"ERR {cause}")
        about = {"command": command_name or self.command_name, "client": self.peer}
        if isinstance(cause, CorruptionError):
            self.server.found_corruption(cause)

        # A damaged table, a target that is away and a full disk are not bugs, and what they say is enough.
        # Each command that meets them comes here, so no traceback is logged.
        if isinstance(cause, ReplicadError):
            log.warning("server.command_failed", **about, reason=str(cause))
            return error(f"ERR {type(cause).__name__}: {cause}")
        if isinstance(cause, OSError) and cause.errno:
            reason = reason_of(cause)
            log.warning("server.command_failed", **about, reason=reason)
            return error(f"ERR {reason}")

        # From here on it is a bug of ours: the log says more than the client is told.
        self.server.stats.errors += 1
        log.error("server.command_failed", **about, exc_info=cause)
        return refusals.INTERNAL
