"""Commands on the node: INFO, ROLE, CONFIG, REPLICAD.RELOAD, SHUTDOWN."""

from __future__ import annotations

import json

from replicad.errors import ConfigError
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.container import ANY, Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.glob import compile_glob
from replicad.server.info import render_info
from replicad.server.later import AsTask, Reply
from replicad.server.requests import Request
from replicad.server.slow_log import ENTRIES_MAX, SLOW_SECONDS

node = Group("server")

_PATTERNS_MAX = 64


@node.command("info", -1, "Describes the node, in sections.", usage="[section ...]")
def info(client: ClientState, request: Request) -> bytes:
    if len(request) > _PATTERNS_MAX:
        return refusals.SYNTAX
    sections = [name.decode("ascii", "replace").lower() for name in request[1:]]
    return replies.verbatim(render_info(client.server, sections).encode(), client.protocol)


@node.command("role", 1, "Returns the role and the state of replication.")
def role(client: ClientState, request: Request) -> bytes:
    server = client.server
    if server.node.role == "primary":
        replicas: list[replies.Value] = [
            [replica.host, str(replica.port), str(replica.acknowledged_sequence)]
            for replica in server.node.replicas()
        ]
        return replies.encode(["master", server.store.latest_sequence, replicas], client.protocol)
    host, port = server.node.primary_address or ("", 0)
    return replies.encode(
        ["slave", host, port, server.node.link_state, server.store.latest_sequence], client.protocol
    )


def _refuse_set(request: Request) -> bytes:
    return replies.error("ERR CONFIG SET is not supported: settings are in the configuration file")


_CONFIG = Container(
    "config",
    Subcommand("GET <pattern> ...", "Returns the settings that Redis clients ask for.", 1, _PATTERNS_MAX),
    Subcommand(
        "SET <name> <value> ...", "Refused: settings are in the configuration file.", 2, ANY, _refuse_set
    ),
    Subcommand("RESETSTAT", "Resets the counters of INFO to 0."),
)


@node.command("config", -2, "Shows the settings that Redis clients ask for.", container=_CONFIG)
def config(client: ClientState, request: Request) -> bytes:
    if request[1].upper() == b"GET":
        options = client.server.options
        settings = {
            b"appendonly": b"yes",
            b"databases": b"%d" % (max(client.server.store.families.values()) + 1),
            b"maxclients": b"%d" % options.clients_max,
            b"maxmemory": b"0",
            b"maxmemory-policy": b"noeviction",
            b"proto-max-bulk-len": b"%d" % options.bulk_bytes_max,
            b"save": b"",
            b"slowlog-log-slower-than": b"%d" % round(SLOW_SECONDS * 1e6),
            b"slowlog-max-len": b"%d" % ENTRIES_MAX,
            b"timeout": b"0",
        }
        matchers = [compile_glob(pattern.lower()) for pattern in request[2:]]
        found = {
            replies.bulk(name): replies.bulk(value)
            for name, value in settings.items()
            if any(matches is None or matches(name) for matches in matchers)
        }
        return replies.mapping(found, client.protocol)
    client.server.reset_counts()
    return replies.OK


@node.command(
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


@node.command("shutdown", -1, "Stops the node cleanly.", usage="[NOSAVE|SAVE] [NOW] [FORCE]", blocking=True)
def shutdown(client: ClientState, request: Request) -> Reply:
    options = [option.upper() for option in request[1:5]]
    known = {b"NOSAVE", b"SAVE", b"NOW", b"FORCE"}.issuperset(options) and len(request) <= 4
    if not known or {b"NOSAVE", b"SAVE"}.issubset(options):
        return refusals.SYNTAX
    client.quit()
    client.server.request_shutdown()
    return None
