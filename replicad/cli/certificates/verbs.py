"""`replicad certs init`, `replicad certs node`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from replicad.errors import UsageError

NODE_DAYS = 365
CA_DAYS = 3650
DAYS_MAX = 36500
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Where the CA is. Keep it on a machine of its own.")
]

app = typer.Typer(
    name="certs",
    help="""Make certificates for nodes that speak TLS.

    A certificate authority (CA) of one's own vouches for the nodes: DIR/ca.crt goes to every node and every
    client, DIR/ca.key stays where it is. An organization that has a CA needs none of this.
    """,
    epilog="""\
\b
Examples:
  replicad certs init /root/replicad-ca
  replicad certs node /root/replicad-ca paris-1 --host 10.0.0.1 --host db1.example.com
  replicad certs node /root/replicad-ca alice           for a user, with tls.certificate_users""",
    no_args_is_help=True,
)


def register(app_of_all: typer.Typer) -> None:
    app_of_all.add_typer(app)


@app.command()
def init(
    directory: Directory,
    name: Annotated[str, typer.Option(metavar="NAME", help="What the CA is called.")] = "replicad CA",
    days: Annotated[
        int, typer.Option(metavar="DAYS", min=1, max=DAYS_MAX, help="How long it is valid.")
    ] = CA_DAYS,
) -> None:
    """Make a certificate authority: DIR/ca.crt and DIR/ca.key."""
    from replicad.cli.certificates.authority import make_authority

    make_authority(directory, name, days)
    print(f"{directory / 'ca.crt'} goes to every node and client; {directory / 'ca.key'} to nobody")


@app.command()
def node(
    directory: Directory,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of nodes or users.")],
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host or IP address that the node is reached at; repeatable."),
    ] = None,
    days: Annotated[
        int, typer.Option(metavar="DAYS", min=1, max=DAYS_MAX, help="How long it is valid.")
    ] = NODE_DAYS,
) -> None:
    """Make a certificate for a node, or a user, of that name: DIR/NAME.crt and DIR/NAME.key."""
    from replicad.cli.certificates.authority import CA_NAME, make_node

    for name in names:
        if _NAME.fullmatch(name) is None or name == CA_NAME:
            raise UsageError(f"{name!r} is not the name of a node: letters, digits, _, . and -")
    for name in names:
        make_node(directory, name, host or (), days)
        print(f"{directory / name}.crt and .key: cert_file and key_file of {name}")
