"""Whom a certificate is for."""

from __future__ import annotations

import pytest

from replicad.net.certificates import Certificate, read_certificate, refusal_of_name, refusal_of_node

CERTIFICATE = Certificate(frozenset({"paris-1", "*.example.org"}), frozenset({"10.0.0.1", "::1"}), 0.0)


@pytest.mark.parametrize(
    "host, expected",
    [
        ("paris-1", True),
        ("PARIS-1.", True),
        ("db.example.org", True),
        ("a.db.example.org", False),
        ("example.org", False),
        ("10.0.0.1", True),
        ("10.0.0.2", False),
        ("0:0::1", True),
        ("paris-2", False),
    ],
)
def test_hosts(host: str, expected: bool) -> None:
    """Names with one wildcard label at most, addresses exactly, in any spelling."""
    assert CERTIFICATE.is_for_host(host) is expected


def test_names_of_nodes() -> None:
    """DNS names, and URIs of ours; those of others are none."""
    shown = {
        "subjectAltName": (
            ("DNS", "db1"),
            ("URI", "replicad://paris-1"),
            ("URI", "https://evil"),
            ("IP Address", "10.0.0.1"),
            ("email", "a@b"),
        ),
        "notAfter": "Jan  1 00:00:00 2030 GMT",
    }
    certificate = read_certificate(shown)
    assert certificate is not None
    assert certificate.names == {"db1", "paris-1"}
    assert certificate.addresses == {"10.0.0.1"}
    assert certificate.ends_at == 1893456000
    assert read_certificate({}) is None and read_certificate(None) is None


@pytest.mark.parametrize(
    "certificate, host, allow, refusal",
    [
        (None, "10.0.0.1", (), "no certificate"),
        (CERTIFICATE, "10.0.0.1", (), None),
        (CERTIFICATE, "10.0.0.9", (), "not for 10.0.0.9"),
        (CERTIFICATE, "10.0.0.9", ("paris-1",), None),
        (CERTIFICATE, "10.0.0.1", ("paris-2",), "tls.allow has paris-2"),
        (CERTIFICATE, None, (), None),
        (CERTIFICATE, None, ("paris-2",), "tls.allow has paris-2"),
    ],
)
def test_who_is_talked_with(
    certificate: Certificate | None, host: str | None, allow: tuple[str, ...], refusal: str | None
) -> None:
    """Where names are allowed they decide alone; else the host, for the one that is connected to."""
    found = refusal_of_node(certificate, host, allow)
    assert found is None if refusal is None else found is not None and refusal in found


def test_a_node_is_called_what_its_certificate_says() -> None:
    assert refusal_of_name(None, "anything") is None
    assert refusal_of_name(CERTIFICATE, "paris-1") is None
    assert "calls itself paris-2" in (refusal_of_name(CERTIFICATE, "paris-2") or "")
    assert "set `name`" in (refusal_of_name(CERTIFICATE, "") or "")
