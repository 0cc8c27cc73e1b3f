"""REPLICAD.FAMILY: column families, which clients choose as databases."""

from __future__ import annotations

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.linked_data import refuse_system
from replicad.server.refusals import Refused
from replicad.server.requests import Request

families = Group("replicad")

_FAMILY = Container(
    "replicad.family",
    Subcommand("LIST", "Returns names and numbers."),
    Subcommand("CREATE <name>", "Makes a column family; returns its number.", 1, 1),
    Subcommand("DROP <number>", "Drops a column family, with its data.", 1, 1),
)


@families.command("replicad.family", -2, "Makes and drops column families.", container=_FAMILY, blocking=True)
def family(client: ClientState, request: Request) -> bytes:
    store = client.server.store
    match request[1].upper(), len(request):
        case b"LIST", 2:
            return replies.encode(list(map(list, store.families.items())), client.protocol)
        case b"CREATE", 3:
            name = _family_name(request[2])
            refuse_system(name)
            _prepare_change(client)
            created, sequence = store.submit_create_family(name)
            client.hold_written(sequence)
            return replies.integer(created)
        case b"DROP", 3:
            dropped = parse_count(request[2])
            refuse_system(next((name for name, id in store.families.items() if id == dropped), ""))
            if dropped in client.server.linked.families:
                return replies.error(
                    "ERR the column family is linked, and stays as long as others may have it"
                )
            _prepare_change(client)
            client.hold_written(store.submit_drop_family(dropped))
            return replies.OK
    return refusals.unknown_subcommand("replicad.family", request[1])


def _prepare_change(client: ClientState) -> None:
    """Writes of this tick go first: they may be to the family that goes."""
    node = client.server.node
    if not node.is_writable:
        raise Refused(refusals.read_only(node.primary_address))
    if node.holds_writes():
        raise Refused(refusals.CHANGING)
    client.server.committer.submit()


def _family_name(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(replies.error("ERR the name of a column family is UTF-8")) from None
