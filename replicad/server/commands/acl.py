"""ACL: who this connection is, and who there is. Users are made in the configuration."""

from __future__ import annotations

from replicad.server import replies
from replicad.server.access.roles import Role
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import COMMANDS, Group
from replicad.server.requests import Request

acl = Group("server")

_ACL = Container(
    "acl",
    Subcommand("WHOAMI", "Returns the user of this connection."),
    Subcommand("LIST", "Describes all users."),
    Subcommand("USERS", "Returns the names of all users."),
    Subcommand("GETUSER <username>", "Describes one user.", 1, 1),
    Subcommand("CAT [<role>]", "Returns the roles, or the commands of one.", 0, 1),
)


@acl.command("acl", -2, "Shows users and roles.", container=_ACL)
def acl_(client: ClientState, request: Request) -> bytes:
    users, protocol = client.server.login.users, client.protocol
    known = {user.name: user for user in (users.default, *users.by_name.values())}
    match request[1].upper():
        case b"WHOAMI":
            return replies.bulk(client.user.name.encode())
        case b"LIST":
            return replies.encode([user.describe() for user in known.values()], protocol)
        case b"USERS":
            return replies.encode(list(known), protocol)
        case b"GETUSER":
            user = known.get(request[2].decode("utf-8", "replace"))
            if user is None:
                return client.nil
            families = ["*"] if user.families is None else sorted(user.families)
            return replies.encode(
                {
                    "flags": ["on"] if user.secret is not None else ["on", "nopass"],
                    "passwords": [],
                    "commands": " ".join(f"+@{role}" for role in sorted(user.rights)) or "-@all",
                    "keys": " ".join(f"~{name}" for name in families),
                },
                protocol,
            )
    if len(request) == 2:
        return replies.encode([role.value for role in Role], protocol)
    try:
        role = Role(request[2].decode("ascii", "replace").lower())
    except ValueError:
        return replies.error(b"ERR Unknown category '%b'" % request[2][:64])
    return replies.encode([each.name for each in COMMANDS.values() if each.role is role], protocol)
