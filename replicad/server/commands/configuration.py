"""CONFIG and REPLICAD.RELOAD: the configuration of the running node.

Keys have our names, `section.key`, and those that Redis clients ask for as well.
"""

from __future__ import annotations

import json

from replicad.env.reasons import reason_of
from replicad.errors import ConfigError
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_integer
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.glob import compile_glob
from replicad.server.later import AsTask, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.slow_log import ENTRIES_MAX

configuration = Group("server")

PATTERNS_MAX = 64
_SETTINGS_MAX = 64

_CONFIG = Container(
    "config",
    Subcommand(
        "GET <pattern> ...",
        "Returns settings, and those that Redis clients ask for.",
        1,
        PATTERNS_MAX,
    ),
    Subcommand(
        "SET <name> <value> ...",
        "Changes settings of the running node, until it reads its configuration again: all, or none.",
        2,
        2 * _SETTINGS_MAX,
    ),
    Subcommand("REWRITE", "Writes what was set to state/settings.toml, so that it outlives a restart."),
    Subcommand("RESETSTAT", "Resets the counters of INFO to 0."),
)


@configuration.command(
    "config", -2, "Shows and changes settings of the running node.", container=_CONFIG, blocking=True
)
def config(client: ClientState, request: Request) -> Reply:
    match request[1].upper():
        case b"GET":
            return _get(client, request[2:])
        case b"SET":
            return _set(client, request[2:])
        case b"REWRITE":
            return AsTask(lambda: _rewrite(client))
    client.server.reset_counts()
    return replies.OK


def _get(client: ClientState, patterns: Request) -> bytes:
    shown = _of_redis(client) | {
        name.encode(): value.encode() for name, value in client.server.node.settings().items()
    }
    matchers = [compile_glob(pattern.lower()) for pattern in patterns]
    found = {
        replies.bulk(name): replies.bulk(value)
        for name, value in shown.items()
        if any(matches is None or matches(name) for matches in matchers)
    }
    return replies.mapping(found, client.protocol)


def _of_redis(client: ClientState) -> dict[bytes, bytes]:
    """Names that Redis has for something that we have, too."""
    options = client.server.options
    return {
        b"appendonly": b"yes",
        b"databases": b"%d" % (max(client.server.store.families.values()) + 1),
        b"maxclients": b"%d" % options.clients_max,
        b"maxmemory": b"0",
        b"maxmemory-policy": b"noeviction",
        b"proto-max-bulk-len": b"%d" % options.bulk_bytes_max,
        b"save": b"",
        b"slowlog-log-slower-than": b"%d" % round(options.slow_seconds * 1e6),
        b"slowlog-max-len": b"%d" % ENTRIES_MAX,
        b"timeout": b"0",
    }


def _set(client: ClientState, words: Request) -> bytes:
    if len(words) % 2:
        return refusals.wrong_arity("config|set")
    try:
        found = [_as_ours(name.lower(), value) for name, value in zip(words[::2], words[1::2], strict=True)]
        texts = dict(found)
        if len(texts) < len(found):
            return replies.error("ERR CONFIG SET failed - a name is there twice")
        client.server.node.change_settings(texts)
    except ConfigError as error:
        return replies.error(f"ERR CONFIG SET failed - {error}")
    return replies.OK


def _as_ours(name: bytes, value: bytes) -> tuple[str, str]:
    """A setting under our name and in our unit. Raises ConfigError."""
    text = value.decode("utf-8", "replace")
    match name:
        case b"maxclients":
            return "clients.clients_max", text
        case b"slowlog-log-slower-than":
            try:
                return "clients.slow_seconds", str(parse_integer(value) / 1e6)
            except Refused:
                raise ConfigError(f"{text[:80]} is not a number of microseconds") from None
    return name.decode("utf-8", "replace"), text


async def _rewrite(client: ClientState) -> bytes:
    try:
        await client.server.node.keep_settings()
    except (ConfigError, OSError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else error
        return replies.error(f"ERR CONFIG REWRITE failed - {reason}")
    return replies.OK


@configuration.command(
    "replicad.reload", 1, "Reads the configuration again, and takes over what it can.", blocking=True
)
def reload(client: ClientState, request: Request) -> Reply:
    async def run() -> bytes:
        try:
            found = await client.server.node.reload()
        except ConfigError as error:
            return replies.error(f"ERR the old configuration stays: {error}")
        return replies.bulk(json.dumps(found).encode())

    return AsTask(run)
