"""The users of a node, as the configuration names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replicad.errors import ConfigError
from replicad.net.secrets import read_secret
from replicad.server.access.roles import ALL, NONE, OF_ALL_DATA, OF_FAMILIES, Rights, Role, rights_of
from replicad.server.access.secrets import Password, Secret, Token

USER_NAME = r"[A-Za-z0-9_.-]{1,64}"
DEFAULT = "default"
"""Who a connection is before AUTH."""


@dataclass(frozen=True, kw_only=True)
class UserOptions:
    """One user. Without a secret the user comes by certificate only, and `default` without anything."""

    roles: tuple[Role, ...]
    """What the user may do: "monitor" < "read" < "write"; "replicate" and "backup", which read all data;
    "admin"."""
    token_sha256: str | None = None
    """The SHA-256 of a random token: `replicad users token` makes both."""
    password_file: Path | None = None
    """A file whose first line `replicad users hash` made of a password."""
    families: tuple[str, ...] | None = None
    """Limits what is read and written to these column families."""

    def __post_init__(self) -> None:
        if self.token_sha256 is not None and self.password_file is not None:
            raise ConfigError("token_sha256 and password_file exclude each other")
        if self.token_sha256 is not None:
            Token(self.token_sha256)
        if self.families is not None and (wide := sorted(OF_ALL_DATA & set(self.roles))):
            raise ConfigError(f"families cannot be limited for {wide[0]}, which shows all data")

    @property
    def has_secret(self) -> bool:
        return self.token_sha256 is not None or self.password_file is not None

    def secret(self) -> Secret | None:
        """Raises ConfigError."""
        if self.token_sha256 is not None:
            return Token(self.token_sha256)
        if self.password_file is None:
            return None
        try:
            return Password(read_secret(self.password_file))
        except ConfigError as error:
            text = str(error)
            named = text if text.startswith(str(self.password_file)) else f"{self.password_file}: {text}"
            raise ConfigError(named) from None


@dataclass(frozen=True, slots=True)
class User:
    name: str
    rights: Rights
    families: frozenset[str] | None = None
    """None: all."""
    secret: Secret | None = None

    def rights_in(self, family: str | None) -> Rights:
        """What the user may do while the keys are of that family."""
        if self.families is None or family in self.families:
            return self.rights
        return self.rights - OF_FAMILIES

    def describe(self) -> str:
        """As a line of ACL LIST."""
        roles = " ".join(f"+@{role}" for role in sorted(self.rights)) or "-@all"
        families = "~*" if self.families is None else " ".join(f"~{name}" for name in sorted(self.families))
        how = "nopass" if self.secret is None and self.name == DEFAULT else "on"
        return f"user {self.name} {how} {families} {roles}"


OPEN = User(DEFAULT, ALL)
"""Everybody, where no users are configured."""
OPERATOR = User("operator", ALL)
"""Root, or the daemon's own user, at the Unix socket."""


class Users:
    """Immutable."""

    def __init__(self, options: Mapping[str, UserOptions]) -> None:
        """Reads the files of passwords; raises ConfigError naming the user."""
        self.by_name: dict[str, User] = {}
        for name, each in options.items():
            families = None if each.families is None else frozenset(each.families)
            try:
                secret = each.secret()
            except ConfigError as error:
                raise ConfigError(f"users.{name}: {error}") from None
            self.by_name[name] = User(name, rights_of(each.roles), families, secret)
        self.default = self.by_name.get(DEFAULT) or (User(DEFAULT, NONE) if options else OPEN)
        if self.default.secret is not None:
            # Nobody is `default` without its secret.
            self.anonymous = User(DEFAULT, NONE)
        else:
            self.anonymous = self.default

    @property
    def is_open(self) -> bool:
        return self.anonymous is OPEN

    def still_has(self, user: User) -> bool:
        """Whether who is logged in as this may go on."""
        # A user of the configuration may look like the operator of the Unix socket.
        return user is OPERATOR or user == self.anonymous or self.by_name.get(user.name) == user

    def of_certificate(self, names: Iterable[str]) -> User | None:
        """The user whom a certificate names; None when it is not exactly one."""
        found = [self.by_name[name] for name in sorted(names) if name in self.by_name]
        return found[0] if len(found) == 1 else None
