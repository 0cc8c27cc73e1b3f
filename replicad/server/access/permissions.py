"""Which role each command needs. A command that writes needs `write`, one that reads keys `read`; all others
stand here, and a test finds those that are missing."""

from __future__ import annotations

from replicad.server.access.roles import Role

BEFORE_LOGIN = frozenset({"auth", "hello", "quit", "reset"})

_ROLES: dict[Role, tuple[str, ...]] = {
    Role.MONITOR: (
        *("ping", "echo", "select", "client", "info", "role", "config", "command", "acl"),
        *("slowlog", "latency", "sentinel"),
        *("subscribe", "psubscribe", "unsubscribe", "punsubscribe", "publish"),
        # What a transaction does is asked of its commands.
        *("multi", "exec", "discard", "unwatch"),
        *("wait", "waitaof", "replicad.wait", "replicad.waitpos", "replicad.synchronous"),
        *("replicad.position", "replicad.status", "replicad.family", "replicad.failover"),
    ),
    Role.REPLICATE: (
        *("replicad.updates", "replicad.frames", "replicad.sequenceat"),
        *("replicad.digest", "replicad.verify"),
    ),
    Role.BACKUP: ("replicad.checkpoint", "replicad.backup"),
    Role.ADMIN: (
        *("shutdown", "replicaof", "slaveof", "failover"),
        *("replicad.promote", "replicad.switchover", "replicad.rejoin", "replicad.reload"),
        "replicad.replica",
        *("replicad.link", "replicad.slot", "replicad.throttle", "replicad.repair", "monitor"),
    ),
}
ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}

SUBCOMMANDS = {
    ("config", b"SET"): Role.ADMIN,
    ("config", b"RESETSTAT"): Role.ADMIN,
    ("config", b"REWRITE"): Role.ADMIN,
    ("client", b"KILL"): Role.ADMIN,
    # Keys and values of others are in it.
    ("slowlog", b"GET"): Role.ADMIN,
    ("slowlog", b"RESET"): Role.ADMIN,
    ("client", b"PAUSE"): Role.ADMIN,
    ("client", b"UNPAUSE"): Role.ADMIN,
    ("replicad.slot", b"CREATE"): Role.REPLICATE,
    ("replicad.slot", b"READ"): Role.REPLICATE,
    ("replicad.slot", b"ACK"): Role.REPLICATE,
    ("replicad.family", b"CREATE"): Role.ADMIN,
    ("replicad.family", b"DROP"): Role.ADMIN,
    ("replicad.failover", b"PAUSE"): Role.ADMIN,
    ("replicad.failover", b"RESUME"): Role.ADMIN,
    ("replicad.failover", b"REMOVE"): Role.ADMIN,
    ("acl", b"LIST"): Role.ADMIN,
    ("acl", b"USERS"): Role.ADMIN,
    ("acl", b"GETUSER"): Role.ADMIN,
}
"""Those that need more than their command, or less."""


def role_of(name: str, *, writes: bool, reads: bool) -> Role | None:
    """None for what may be said before AUTH. KeyError for a command that nobody thought of."""
    if name in BEFORE_LOGIN:
        return None
    if name in ROLE_OF:
        return ROLE_OF[name]
    if writes:
        return Role.WRITE
    if reads:
        return Role.READ
    raise KeyError(f"{name} has no role: give it one in {__name__}")
