"""What a node may open to others, and what it says when it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.daemon.config import NodeConfig, load_primary, load_replica
from replicad.errors import ConfigError
from replicad.server.access.secrets import token_sha256

OPEN = '[users.default]\nroles = ["{}"]\n'
TLS = '[tls]\ncert_file = "c"\nkey_file = "k"\nca_file = "ca"\n'
USERS = '[users.a]\nroles = ["admin"]\n'
CASES = [
    # Keys, tables; what the refusal names, or None.
    ('listen = "127.0.0.1:1"', "", None),
    ('listen = "[::1]:1"', "", None),
    ('listen = "10.0.0.1:1"', "", r"listen: 10.0.0.1:1 is refused.*\[tls\].*\[users.NAME\]"),
    ('listen = "db.example:1"', TLS, r"listen: db.example:1.*add \[users.NAME\]"),
    ('listen = "0.0.0.0:1"', USERS, r"listen: .*add \[tls\]"),
    ('listen = "0.0.0.0:1"', TLS + USERS, None),
    ('listen = "0.0.0.0:1"', TLS + "[tls.clients]\nenabled = false\n" + USERS, r"listen: .*\[tls\]"),
    (
        'listen = "10.0.0.1:1"',
        TLS + OPEN.format("admin"),
        r"listen: 10.0.0.1:1 is refused.*default\] gives admin to everybody who connects, without a password",
    ),
    (
        'http = "10.0.0.1:1"',
        TLS + OPEN.format("read"),
        r"http: .*\[users.default\] gives read",
    ),
    ('listen = "10.0.0.1:1"\ninsecure = true', TLS + OPEN.format("admin"), None),
    ('listen = "127.0.0.1:1"', OPEN.format("admin"), None),
    ('listen = "10.0.0.1:1"', TLS + USERS + OPEN.format("monitor"), None),
    (
        'listen = "10.0.0.1:1"',
        TLS + OPEN.format("admin") + f'token_sha256 = "{token_sha256("x")}"\n',
        None,
    ),
    ('replication = "10.0.0.1:1"', "", r"replication: .*\[tls\]"),
    ('replication = "10.0.0.1:1"', TLS, None),
    ('http = "10.0.0.1:1"', TLS, r"http: .*\[users.NAME\]"),
    ('http = "10.0.0.1:1"\ninsecure = true', "", None),
    ('listen = "10.0.0.1:1"\ninsecure = true', "", None),
]


def _config(tmp_path: Path, keys: str, tables: str, kind: str = "primary") -> NodeConfig:
    file = tmp_path / "node.toml"
    file.write_text(f'data = "d"\n{keys}\n{tables}')
    return load_primary(file) if kind == "primary" else load_replica(file)


@pytest.mark.parametrize("keys, tables, refusal", CASES)
def test_what_others_reach_has_tls_and_users(
    tmp_path: Path, keys: str, tables: str, refusal: str | None
) -> None:
    """Unless the operator says that nobody else is there."""
    if refusal is None:
        _config(tmp_path, f'{keys}\nannounce = "db.example"', tables)
    else:
        with pytest.raises(ConfigError, match=refusal):
            _config(tmp_path, keys, tables)


def test_a_primary_is_not_followed_in_clear_text(tmp_path: Path) -> None:
    """What the replica would fetch from it, anybody on the way could read and change."""
    with pytest.raises(ConfigError, match=r"primary: db1\.example:6381 is refused"):
        _config(tmp_path, 'primary = "db1.example:6381"', "", "replica")
    _config(tmp_path, 'primary = "db1.example:6381"', TLS, "replica")


def test_a_node_that_listens_everywhere_says_where_it_is(tmp_path: Path) -> None:
    """The others are told an address that they can connect to."""
    with pytest.raises(ConfigError, match="announce"):
        _config(tmp_path, 'replication = "0.0.0.0:1"', TLS)
    _config(tmp_path, 'replication = "0.0.0.0:1"\nannounce = "db1.example"', TLS)
    with pytest.raises(ConfigError, match="not a host"):
        _config(tmp_path, 'announce = "0.0.0.0"', "")


@pytest.mark.parametrize(
    "tables, wrong",
    [
        ('[tls]\ncert_file = "c"\n', "tls.*key_file is missing"),
        ('[tls]\ncert_file = "c"\nkey_file = "k"\n', "tls.*ca_file is missing"),
        (TLS + "certificate_users = true\n", "allow is missing: with certificate_users"),
        ('[tls]\ncertfile = "c"\n', "tls.certfile is not a key: did you mean cert_file"),
        ('[users.a]\nroles = ["reed"]\n', "users.a.roles"),
        ("[users.a]\n", "users.a.roles is missing"),
        ('[users.a]\nroles = ["admin"]\nfamilies = ["x"]\n', "families cannot be limited"),
        ('[users.a]\nroles = ["read"]\ntoken_sha256 = "abc"\n', "token_sha256 is 64"),
        (
            f'[users.a]\nroles = ["read"]\ntoken_sha256 = "{token_sha256("").upper()}"\n',
            "is that of an empty token",
        ),
    ],
)
def test_half_of_it_is_an_error(tmp_path: Path, tables: str, wrong: str) -> None:
    """It is named with its key."""
    with pytest.raises(ConfigError, match=wrong):
        _config(tmp_path, "", tables)
