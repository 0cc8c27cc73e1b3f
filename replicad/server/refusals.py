"""The error replies that clients know by heart: codes and texts are Redis's where Redis has one.

A write that may be in the log is answered with UNCERTAIN, which Redis has not. To client libraries READONLY,
NOREPLICAS, TRYAGAIN and others mean that nothing was written, and some send such a write once more.
"""

from __future__ import annotations

from replicad.errors import DiskFullError, PoisonedError, ReplicadError
from replicad.server.replies import error


class Refused(Exception):
    """A command that is answered with an error; `reply` is the encoded error."""

    def __init__(self, reply: bytes) -> None:
        super().__init__(reply)
        self.reply = reply


SYNTAX = error("ERR syntax error")
NOT_AN_INTEGER = error("ERR value is not an integer or out of range")
OVERFLOW = error("ERR increment or decrement would overflow")
DECREMENT_OVERFLOW = error("ERR decrement would overflow")
STRING_TOO_LONG = error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
NO_EXPIRY = error("ERR expiry is not supported: values stay until they are deleted")
READ_ONLY = error("READONLY You can't write against a read only replica.")
CHANGING = error("TRYAGAIN the role of this node is changing")
DISTURBED = error(
    "TRYAGAIN the role of this node changed, or a write failed, while this command was under way; "
    "nothing of it was written"
)
TOO_MUCH_WAITS = error("TRYAGAIN too much waits for the role of this node to be settled; nothing was written")
NESTED_MULTI = error("ERR MULTI calls can not be nested")
EXEC_WITHOUT_MULTI = error("ERR EXEC without MULTI")
DISCARD_WITHOUT_MULTI = error("ERR DISCARD without MULTI")
EXEC_ABORTED = error("EXECABORT Transaction discarded because of previous errors.")
EXEC_WRONG_ARITY = error(
    "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
)
WATCH_IN_MULTI = error("ERR WATCH inside MULTI is not allowed")
TOO_MUCH_WATCHED = error("ERR more is watched than this server accepts")
NO_PASSWORD = error(
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
NOT_LOGGED_IN = error("NOAUTH Authentication required.")
HELLO_NOT_LOGGED_IN = error(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
    "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
    "same time"
)
WRONG_PASSWORD = error("WRONGPASS invalid username-password pair or user is disabled.")
BAD_TIMEOUT = error("ERR timeout is not an integer or out of range")
NEGATIVE_TIMEOUT = error("ERR timeout is negative")
INVALID_CURSOR = error("ERR invalid cursor")
NO_SUCH_DATABASE = error("ERR DB index is out of range")
BAD_PROTOCOL_VERSION = error("NOPROTO unsupported protocol version")
TOO_MANY_CLIENTS = error("ERR max number of clients reached")
REPLY_TOO_LARGE = error("ERR the reply is larger than this server sends at once")
QUEUE_TOO_LARGE = error("ERR the transaction is larger than this server accepts")
INTERNAL = error("ERR internal error; the server's log has the details")
GIVEN_UP = error("ERR this connection ends before the command does; what came of it is unknown")
SHUTTING_DOWN = error("ERR the server is shutting down")


def read_only(primary: tuple[str, int] | None) -> bytes:
    """The refusal of a write, naming who takes it."""
    if primary is None:
        return READ_ONLY
    host, port = primary
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return error(f"READONLY You can't write against a read only replica. The primary is {shown}")


def outcome_unknown(primary: tuple[str, int] | None) -> bytes:
    """The answer to a write that was not acknowledged before another node became primary."""
    where = "" if primary is None else f" The primary is {primary[0]}:{primary[1]}"
    return error(f"UNCERTAIN another node became primary; the outcome of this write is unknown.{where}")


def write_refused(cause: BaseException) -> bytes:
    """The reply to a write that the store did not take, or can no longer vouch for."""
    if isinstance(cause, DiskFullError):
        return error(f"ERR no room on disk, nothing was written: {cause}")
    if isinstance(cause, PoisonedError):
        return error(f"UNCERTAIN storage failed, the outcome of this write is unknown: {cause}")
    if not isinstance(cause, ReplicadError):  # No memory or no thread: perhaps after it was in the log.
        return error(f"UNCERTAIN the outcome of this write is unknown: {cause!r}")
    return error(f"ERR the write was refused: {cause}")


def replicas_missing(lacking: str, sequence: int, is_durable_here: bool) -> bytes:
    """The reply to a write that is in the log, and not on the replicas that it had to wait for."""
    here = "durable" if is_durable_here else "written and not durable yet"
    return error(f"UNCERTAIN {lacking}; all up to sequence {sequence} is {here} here and stays")


def wrong_arity(name: str) -> bytes:
    return error(f"ERR wrong number of arguments for '{name}' command")


def unknown_command(request: list[bytes]) -> bytes:
    arguments = b" ".join([b"'%b'" % argument[:32] for argument in request[1:6]])
    return error(b"ERR unknown command '%b', with args beginning with: %b" % (request[0][:128], arguments))


def unknown_subcommand(command: str, name: bytes) -> bytes:
    return error(b"ERR unknown subcommand '%b'. Try %b HELP." % (name[:128], command.upper().encode()))


def not_permitted(user: str, command: str) -> bytes:
    return error(f"NOPERM User {user} has no permissions to run the '{command}' command")


def only_while_subscribed(name: str) -> bytes:
    return error(
        f"ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are allowed in this context"
    )


def not_in_transaction(name: str) -> bytes:
    return error(f"ERR {name.upper()} inside MULTI is not supported")
