"""TLS to a real etcd: certificates on both sides, and those that do not fit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from replicad.cli.demonstration.ports import free_ports
from replicad.errors import EtcdError
from replicad.etcd.calls import IsAbsent, Put
from replicad.etcd.contexts import EtcdContext
from replicad.etcd.options import EtcdOptions
from tests.support.certificates import Authority
from tests.support.etcd.gateways import MakeGateway
from tests.support.etcd.servers import EtcdServer, needs_etcd, one_server
from tests.support.etcd.users import USER, add_users, enable_logins


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ours")


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "other")


@pytest.fixture
def server(tmp_path: Path, ours: Authority) -> Iterator[EtcdServer]:
    """It asks for certificates of our CA."""
    cert, key = ours.node("etcd")
    made = one_server(
        tmp_path,
        tls=[
            *("--cert-file", str(cert), "--key-file", str(key)),
            *("--client-cert-auth", "--trusted-ca-file", str(ours.ca)),
        ],
    )
    try:
        yield made.start()
    finally:
        made.end()


@needs_etcd
async def test_certificates_of_both_sides_are_checked(
    server: EtcdServer, ours: Authority, other: Authority, gateway_to: MakeGateway
) -> None:
    """Ours by etcd, etcd's by us; each error says what does not fit."""
    cert, key = ours.node("n1")
    etcd = gateway_to(server.endpoint, ca_file=ours.ca, cert_file=cert, key_file=key)
    lease = await etcd.grant(60)
    assert (await etcd.txn([IsAbsent(b"k")], [Put(b"k", b"v", lease.id)])).succeeded
    assert (await etcd.keep_alive(lease.id)).ttl_seconds == lease.ttl_seconds
    assert [pair.value for pair in await etcd.range(b"")] == [b"v"]

    with pytest.raises(EtcdError, match="the CA of the certificate is not in ca_file"):
        await gateway_to(server.endpoint, ca_file=other.ca, cert_file=cert, key_file=key).range(b"")
    with pytest.raises(EtcdError, match="certificate"):
        await gateway_to(server.endpoint).range(b"")
    with pytest.raises(EtcdError, match=server.endpoint):
        await gateway_to(server.endpoint, ca_file=ours.ca).range(b"")
    cert, key = other.node("n1")
    with pytest.raises(EtcdError, match=server.endpoint):
        await gateway_to(server.endpoint, ca_file=ours.ca, cert_file=cert, key_file=key).range(b"")
    with pytest.raises(EtcdError, match="closed the connection"):
        await gateway_to(server.endpoint.replace("https:", "http:")).range(b"")


@needs_etcd
async def test_an_etcd_with_users_takes_the_certificate_of_a_node(
    server: EtcdServer, ours: Authority, gateway_to: MakeGateway, tmp_path: Path
) -> None:
    """Both have to be right. It has no common name: etcd would take that for a user, and refuses it."""
    cert, key = ours.node("n1")
    server.context = ssl.create_default_context(cafile=ours.ca)
    server.context.load_cert_chain(cert, key)
    await asyncio.to_thread(add_users, server, "secret", b"k")
    await asyncio.to_thread(enable_logins, server)
    password_file = tmp_path / "password"
    password_file.touch(0o600)
    password_file.write_text("secret")
    more = {"ca_file": ours.ca, "cert_file": cert, "key_file": key}
    etcd = gateway_to(server.endpoint, user=USER, password_file=password_file, **more)
    lease = await etcd.grant(60)
    assert (await etcd.txn([IsAbsent(b"k")], [Put(b"k", b"v", lease.id)])).succeeded
    with pytest.raises(EtcdError, match="it wants a login"):
        await gateway_to(server.endpoint, **more).range(b"k")


@needs_etcd
async def test_a_certificate_for_another_host_is_refused(
    server: EtcdServer, ours: Authority, gateway_to: MakeGateway
) -> None:
    """etcd's is for 127.0.0.1. A claim that was not sent for it is asked elsewhere."""
    cert, key = ours.node("n1")
    more = {"ca_file": ours.ca, "cert_file": cert, "key_file": key}
    wrong = f"https://localhost:{server.port}"
    with pytest.raises(EtcdError, match="the certificate is for another host"):
        await gateway_to(wrong, **more).range(b"")
    etcd = gateway_to(wrong, server.endpoint, **more)
    assert (await etcd.txn([IsAbsent(b"k")], [Put(b"k", b"v")])).succeeded


async def test_a_refused_certificate_is_told_in_words(
    ours: Authority, other: Authority, gateway_to: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the connection has ended before the refusal was read; and which files are not used."""

    def post(*arguments: object, **more: object) -> None:
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(aiohttp.ClientSession, "post", post)
    cert, key = ours.node("n1")
    endpoint = "https://127.0.0.1:1"
    etcd = gateway_to(endpoint, ca_file=ours.ca, cert_file=cert, key_file=key)
    closed = (
        f"{endpoint}: it closed the connection before it was asked: if it wants a certificate, see its log"
    )
    with pytest.raises(EtcdError) as error:
        await etcd.range(b"")
    assert str(error.value) == closed
    other.node("n1")[1].replace(key)
    with pytest.raises(EtcdError) as error:
        await etcd.range(b"")
    why = f"{cert} and {key}: the key is not the certificate's"
    assert str(error.value) == f"{closed} (files before these were used: {why})"


async def test_files_that_do_not_fit_are_an_error(
    ours: Authority, other: Authority, tmp_path: Path, gateway_to: MakeGateway
) -> None:
    """It names them, and nobody is asked."""
    (nobody,) = free_ports(1)
    endpoint = f"https://127.0.0.1:{nobody}"
    cert, key = ours.node("n1")
    for more, reason in (
        ({"ca_file": tmp_path / "nothing"}, "nothing: No such file"),
        ({"ca_file": key}, "n1.key: "),
        ({"cert_file": cert, "key_file": other.node("n1")[1]}, "the key is not the certificate's"),
        ({"cert_file": tmp_path / "nothing", "key_file": key}, "nothing and .*: No such file"),
    ):
        with pytest.raises(EtcdError, match=reason):
            await gateway_to(endpoint, **more).range(b"")
    key.chmod(0o644)
    with pytest.raises(EtcdError, match="chmod 600"):
        await gateway_to(endpoint, cert_file=cert, key_file=key).range(b"")


def test_files_that_were_renewed_are_used(ours: Authority, other: Authority) -> None:
    """What was read stays in use while the new ones do not fit, as when one of two was exchanged."""
    cert, key = ours.node("n1")
    context = EtcdContext(
        EtcdOptions(endpoints=("https://127.0.0.1:1",), ca_file=ours.ca, cert_file=cert, key_file=key)
    )
    first = context.current()
    assert context.current() is first and context.refused is None

    new_cert, new_key = other.node("n1")
    new_cert.replace(cert)
    assert context.current() is first
    assert context.refused is not None and "the key is not the certificate's" in context.refused

    new_key.replace(key)
    second = context.current()
    assert second is not first and context.refused is None
    assert context.current() is second
