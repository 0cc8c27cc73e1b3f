"""Commands that tell how the node fares: SLOWLOG, LATENCY, MEMORY."""

from __future__ import annotations

from itertools import accumulate

from replicad.env.durations import BOUNDS, Durations
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_integer
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.requests import Request

observation = Group("server")

NAMES_MAX = 1024
_SHOWN_SLOW = 10

_SLOWLOG = Container(
    "slowlog",
    Subcommand("GET [count]", "Returns the newest commands that took long; -1 returns all.", 0, 1),
    Subcommand("LEN", "Returns how many there are."),
    Subcommand("RESET", "Forgets them."),
)


@observation.command("slowlog", -2, "Shows commands that took long.", container=_SLOWLOG)
def slowlog(client: ClientState, request: Request) -> bytes:
    entries = client.server.slow_log.entries
    match request[1].upper():
        case b"LEN":
            return replies.integer(len(entries))
        case b"RESET":
            entries.clear()
            return replies.OK
    count = _SHOWN_SLOW if len(request) == 2 else parse_integer(request[2])
    if count < -1:
        return replies.error("ERR count should be greater than or equal to -1")
    shown = list(entries)[: len(entries) if count == -1 else count]
    return replies.encode(
        [
            [each.id, each.at_seconds, each.microseconds, [*each.arguments], each.peer, each.client_name]
            for each in shown
        ],
        client.protocol,
    )


_LATENCY = Container(
    "latency",
    Subcommand(
        "HISTOGRAM [<command> ...]",
        "Returns how long these commands take, or all: as their group does, all reads or all writes.",
        0,
        NAMES_MAX,
    ),
    Subcommand("LATEST", "Returns nothing: there are no events of latency."),
)


@observation.command("latency", -2, "Shows how long commands take.", container=_LATENCY)
def latency(client: ClientState, request: Request) -> bytes:
    if request[1].upper() == b"LATEST":
        return replies.array([])
    usage = client.server.usage
    usage.settle()
    names = [name.decode("ascii", "replace").lower() for name in request[2:]] or list(usage.by_name)
    protocol = client.protocol
    shown: dict[bytes, bytes] = {}
    for name in names:
        found = usage.by_name.get(name)
        group = None if found is None else usage.by_group.get(found.group)
        if found is not None and group is not None and found.calls:
            described = {
                replies.bulk(b"calls"): replies.integer(found.calls),
                replies.bulk(b"histogram_usec"): replies.mapping(_cumulative(group), protocol),
            }
            shown[replies.bulk(name.encode())] = replies.mapping(described, protocol)
    return replies.mapping(shown, protocol)


def _cumulative(durations: Durations) -> dict[bytes, bytes]:
    """By the upper ends of the buckets in microseconds; the greatest end stands for all that is longer."""
    counts = list(accumulate(durations.counts))
    counts[-2] = counts.pop()
    return {
        replies.integer(round(bound * 1e6)): replies.integer(count)
        for bound, count in zip(BOUNDS, counts, strict=True)
        if count
    }


_MEMORY = Container(
    "memory",
    Subcommand("USAGE <key> [SAMPLES <count>]", "Returns the bytes of a key and its value.", 1, 3),
)


@observation.command("memory", -2, "Tells how large a key is.", container=_MEMORY, keys=(2, 2, 1))
def memory(client: ClientState, request: Request) -> bytes:
    """Without what compression saves and what blocks and filters add."""
    if len(request) == 4 or (len(request) == 5 and request[3].upper() != b"SAMPLES"):
        return refusals.SYNTAX
    key = request[2]
    if not client.contains(key):
        return client.nil
    length, _ = client.read_part(key, 0, 0)
    return replies.integer(len(key) + length)
