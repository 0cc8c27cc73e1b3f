"""Users and certificates of a running node, exchanged by a reload or because their files changed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.config import NodeConfig, load_primary
from replicad.daemon.program import NodeProgram
from replicad.errors import ConfigError
from replicad.server.access.secrets import hash_password, token_sha256
from tests.support.certificates import Authority
from tests.support.nodes.programs import PATIENT, started_program
from tests.support.waiting import until

TOKENS = {"app": "the token of app", "late": "the token of late"}


class Operator:
    """Writes the configuration of one node, and its files."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.make(directory / "ca")
        cert, key = self.authority.node("node")
        self.password = directory / "alice.password"
        self.write_password("correct horse")
        self.tables: dict[str, Any] = {
            "tls": {
                "cert_file": str(cert),
                "key_file": str(key),
                "ca_file": str(self.authority.ca),
                "certificates": "optional",
                "certificate_users": True,
                "allow": ["node"],
            },
            "users": {
                "app": {"roles": ["write"], "token_sha256": token_sha256(TOKENS["app"])},
                "alice": {"roles": ["admin"], "password_file": str(self.password)},
            },
        }
        self._flags = PATIENT | {"listen": ":0", "replication": ":0", "data": directory / "p"}

    def write_password(self, password: str) -> None:
        self.password.write_text(hash_password(password) + "\n")
        self.password.chmod(0o600)

    def read(self) -> NodeConfig:
        flags: dict[str, Any] = {}
        for table, keys in self.tables.items():
            flags |= {f"{table}__{key}": value for key, value in keys.items()}
        return load_primary(None, **self._flags, **flags)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


class Client:
    """Speaks RESP over TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, *words: str) -> bytes:
        """The first line of the answer; b"" at the end of the connection."""
        self._writer.write(b"".join([b"*%d\r\n" % len(words), *map(_bulk, words)]))
        try:
            return (await self._reader.readline()).rstrip()
        except ConnectionError:
            return b""

    def close(self) -> None:
        self._writer.close()


def _bulk(word: str) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode())


@contextlib.asynccontextmanager
async def client(node: NodeProgram, operator: Operator, name: str | None = None) -> AsyncIterator[Client]:
    context = ssl.create_default_context(cafile=operator.authority.ca)
    if name is not None:
        context.load_cert_chain(*operator.authority.node(name))
    made = Client(*await asyncio.open_connection(*node.parts.clients.address, ssl=context))
    try:
        yield made
    finally:
        made.close()


async def test_who_may_do_what_over_tls(operator: Operator) -> None:
    """Tokens, passwords and certificates log in; a wrong one is nobody."""
    async with started_program(operator.read()) as node:
        async with client(node, operator) as nobody:
            assert await nobody.say("GET", "k") == b"-NOAUTH Authentication required."
            assert (await nobody.say("AUTH", "app", "wrong")).startswith(b"-WRONGPASS")
            assert (await nobody.say("AUTH", "nobody", "wrong")).startswith(b"-WRONGPASS")
            assert await nobody.say("AUTH", "app", TOKENS["app"]) == b"+OK"
            assert await nobody.say("SET", "k", "v") == b"+OK"
            assert (await nobody.say("SHUTDOWN")).startswith(b"-NOPERM User app has no permissions")
        async with client(node, operator) as person:
            assert await person.say("AUTH", "alice", "correct horse") == b"+OK"
            assert (await person.say("ACL", "LIST")).startswith(b"*3")
        async with client(node, operator, "alice") as certified:
            assert await certified.say("ACL", "WHOAMI") == b"$5"


async def test_a_user_that_goes_is_sent_away_and_one_that_comes_may_come(operator: Operator) -> None:
    """In the middle of a connection; the others stay."""
    async with started_program(operator.read(), operator.read) as node:
        async with client(node, operator) as app, client(node, operator, "alice") as alice:
            assert await app.say("AUTH", "app", TOKENS["app"]) == b"+OK"
            del operator.tables["users"]["app"]
            operator.tables["users"]["late"] = {
                "roles": ["read"],
                "token_sha256": token_sha256(TOKENS["late"]),
            }
            assert (await node.parts.reload.reload())["changed"] == ["users"]
            await until(lambda: len(node.parts.clients._server.connections) == 1)  # type: ignore[union-attr]
            assert await app.say("GET", "k") == b""
            assert await alice.say("PING") == b"+PONG"
        async with client(node, operator) as late:
            assert await late.say("AUTH", "late", TOKENS["late"]) == b"+OK"


async def test_a_user_who_is_called_as_the_operator_of_the_unix_socket_is_sent_away_too(
    operator: Operator,
) -> None:
    """A user `operator` with all roles and a certificate only is equal to root at the Unix socket."""
    operator.tables["users"]["operator"] = {"roles": ["admin"]}
    async with (
        started_program(operator.read(), operator.read) as node,
        client(node, operator, "operator") as removed,
    ):
        assert await removed.say("CONFIG", "RESETSTAT") == b"+OK"
        del operator.tables["users"]["operator"]
        await node.parts.reload.reload()
        assert await removed.say("PING") == b""


async def test_who_came_by_certificate_goes_when_certificates_log_nobody_in_any_more(
    operator: Operator,
) -> None:
    """By `certificate_users = false` and a reload; who logged in by a secret stays until its RESET."""
    async with (
        started_program(operator.read(), operator.read) as node,
        client(node, operator, "alice") as certified,
        client(node, operator, "alice") as both,
    ):
        assert await certified.say("SET", "k", "v") == b"+OK"
        assert await both.say("AUTH", "app", TOKENS["app"]) == b"+OK"
        operator.tables["tls"]["certificate_users"] = False
        assert (await node.parts.reload.reload())["changed"] == ["tls.certificate_users"]
        assert await certified.say("PING") == b""
        assert await both.say("SET", "k", "v") == b"+OK"
        assert await both.say("RESET") == b"+RESET"
        assert await both.say("GET", "k") == b"-NOAUTH Authentication required."


async def test_reset_gives_nobody_back_what_a_reload_took(operator: Operator) -> None:
    """Who came by a certificate, logged in as another, and was removed meanwhile."""
    async with (
        started_program(operator.read(), operator.read) as node,
        client(node, operator, "alice") as certified,
    ):
        assert await certified.say("AUTH", "app", TOKENS["app"]) == b"+OK"
        operator.tables["users"]["alice"] = {"roles": ["monitor"]}
        await node.parts.reload.reload()
        assert await certified.say("SET", "k", "v") == b"+OK"
        assert await certified.say("RESET") == b"+RESET"
        assert await certified.say("SET", "k", "w") == b"-NOAUTH Authentication required."


async def test_files_that_change_are_used_without_being_told(operator: Operator) -> None:
    """The password of a person, the certificate of the node: at the next look, and only if they fit."""
    async with started_program(operator.read(), operator.read) as node:
        files, authority = node.parts.secret_files, operator.authority
        files.look()
        before = node.parts.doors.clients.contexts

        operator.write_password("another horse")
        files.look()
        async with client(node, operator) as alice:
            assert (await alice.say("AUTH", "alice", "correct horse")).startswith(b"-WRONGPASS")
            assert await alice.say("AUTH", "alice", "another horse") == b"+OK"

        # A certificate whose key has not come yet.
        key = authority.directory / "node.key"
        old = key.read_bytes()
        authority.node("node")
        new = key.read_bytes()
        key.write_bytes(old)
        now = node.parts.doors.clients.contexts
        files.look()
        assert files.refused is not None and "the key is not the certificate's" in files.refused
        assert node.parts.doors.clients.contexts is now
        key.write_bytes(new)
        files.look()
        assert files.refused is None
        assert node.parts.doors.clients.contexts not in (now, before)
        async with client(node, operator) as nobody:
            assert (await nobody.say("PING")).startswith(b"-NOAUTH")


async def test_a_reload_with_files_that_do_not_fit_changes_nothing(operator: Operator) -> None:
    async with started_program(operator.read(), operator.read) as node:
        users = node.parts.login.users
        operator.tables["users"]["late"] = {"roles": ["read"]}
        operator.password.chmod(0o644)
        with pytest.raises(ConfigError, match=r"users\.alice: .*can be read by others"):
            await node.parts.reload.reload()
        assert node.parts.login.users is users
