"""SUBSCRIBE and its kin: clients hear what the server publishes, that another node is primary now above all.

In RESP2 a client that has subscribed may send little else; in RESP3 messages come beside the replies.
"""

from __future__ import annotations

from replicad.server import refusals, replies
from replicad.server.channels import NAME_BYTES_MAX, SUBSCRIPTIONS_MAX, Subscriptions
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Check
from replicad.server.commands.table import Group
from replicad.server.requests import Request

pubsub = Group("pubsub")

TOO_MUCH = replies.error(
    f"ERR a connection names at most {SUBSCRIPTIONS_MAX} channels and patterns of {NAME_BYTES_MAX} bytes each"
)
_WORDS_MAX = 1 + SUBSCRIPTIONS_MAX
"""Of a request: one that names a channel many times has as many replies."""
NOT_OFFERED = replies.error(
    "ERR PUBLISH is not supported: this server is not a message broker, and publishes what it says itself"
)


def _not_queued(name: str) -> Check:
    """Several replies to one command have no place in the reply of EXEC."""
    return lambda request: refusals.not_in_transaction(name)


@pubsub.command(
    "subscribe",
    -2,
    "Hears what the server publishes: on +switch-master, that another node is primary.",
    usage="channel ...",
    check=_not_queued("subscribe"),
)
def subscribe(client: ClientState, request: Request) -> bytes:
    return _subscribe(client, client.server.channels.channels, request)


@pubsub.command(
    "psubscribe",
    -2,
    "The same for channels that match patterns.",
    usage="pattern ...",
    check=_not_queued("psubscribe"),
)
def psubscribe(client: ClientState, request: Request) -> bytes:
    return _subscribe(client, client.server.channels.patterns, request)


@pubsub.command(
    "unsubscribe",
    -1,
    "Ends that for these channels, or for all.",
    usage="[channel ...]",
    check=_not_queued("unsubscribe"),
)
def unsubscribe(client: ClientState, request: Request) -> bytes:
    return _unsubscribe(client, client.server.channels.channels, request)


@pubsub.command(
    "punsubscribe",
    -1,
    "Ends that for these patterns, or for all.",
    usage="[pattern ...]",
    check=_not_queued("punsubscribe"),
)
def punsubscribe(client: ClientState, request: Request) -> bytes:
    return _unsubscribe(client, client.server.channels.patterns, request)


@pubsub.command("publish", 3, "Refused: this is not a message broker.", usage="channel message", refused=True)
def publish(client: ClientState, request: Request) -> bytes:
    return NOT_OFFERED


def _subscribe(client: ClientState, kind: Subscriptions, request: Request) -> bytes:
    channels = client.server.channels
    if len(request) > _WORDS_MAX or not channels.takes(client, kind, request[1:]):
        return TOO_MUCH
    said = []
    for name in request[1:]:
        kind.add(client, name)
        said.append(_confirmed(client, request, name))
    client.settle_rights()
    return b"".join(said)


def _unsubscribe(client: ClientState, kind: Subscriptions, request: Request) -> bytes:
    if len(request) > _WORDS_MAX:
        return TOO_MUCH
    said = []
    for name in request[1:] or kind.names(client):
        kind.remove(client, name)
        said.append(_confirmed(client, request, name))
    if not client.server.channels.count(client):
        # In RESP2 what comes now would be taken for the reply to the next command.
        client.messages.clear()
    client.settle_rights()
    return b"".join(said) or _confirmed(client, request, None)


def _confirmed(client: ClientState, request: Request, name: bytes | None) -> bytes:
    shown = client.nil if name is None else replies.bulk(name)
    count = replies.integer(client.server.channels.count(client))
    return replies.push([replies.bulk(request[0].lower()), shown, count], client.protocol)
