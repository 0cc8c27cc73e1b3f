"""`replicad users`: the secrets of users, for the configuration."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="users",
    help="""Make secrets for users.

    Programs get a token, people a password. The configuration of the nodes has only what a secret is checked
    with, never the secret itself.
    """,
    epilog="""\
\b
Examples:
  replicad users token app                  prints a token, once, and the lines for the configuration
  replicad users hash > alice.password      asks for a password; `password_file` names the file""",
    no_args_is_help=True,
)


def register(app_of_all: typer.Typer) -> None:
    app_of_all.add_typer(app)


@app.command()
def token(name: Annotated[str, typer.Argument(metavar="NAME", help="The user.")]) -> None:
    """Make a random token: on stderr what the configuration needs, on stdout the token, for a file."""
    from replicad.errors import UsageError
    from replicad.server.access.secrets import new_token, token_sha256
    from replicad.server.access.users import USER_NAME

    if re.fullmatch(USER_NAME, name) is None:
        raise UsageError(f"{name!r} is not the name of a user: {USER_NAME}")
    made = new_token()
    print(f'[users.{name}]\nroles = ["read"]\ntoken_sha256 = "{token_sha256(made)}"\n', file=sys.stderr)
    print(made)


@app.command()
def digest() -> None:
    """Read a token from standard input, and print its token_sha256."""
    from replicad.errors import UsageError
    from replicad.server.access.secrets import SECRET_BYTES_MAX, TOKEN_LENGTH_MIN, token_sha256

    given = sys.stdin.readline().strip()
    if len(given) < TOKEN_LENGTH_MIN:
        raise UsageError(f"this is not a token: a token has at least {TOKEN_LENGTH_MIN} characters")
    if len(given.encode()) > SECRET_BYTES_MAX:
        raise UsageError(f"a token has at most {SECRET_BYTES_MAX} bytes")
    print(token_sha256(given))


@app.command("hash")
def hash_() -> None:
    """Ask for a password, twice at a terminal, and print the line for a password_file."""
    import getpass

    from replicad.errors import UsageError
    from replicad.server.access.secrets import SECRET_BYTES_MAX, hash_password

    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise UsageError("these are two passwords")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < 8:
        raise UsageError("a password has at least 8 characters")
    if len(password.encode()) > SECRET_BYTES_MAX:
        raise UsageError(f"a password has at most {SECRET_BYTES_MAX} bytes")
    print(hash_password(password))
