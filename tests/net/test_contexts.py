"""The files of TLS are verified before they are used: what is wrong with them is one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replicad.errors import ConfigError
from replicad.net.options import Material, PortTls, TlsOptions
from replicad.net.tls import Contexts, make_contexts
from tests.support.certificates import EXPIRED, Authority, begin_tomorrow


def _make(options: TlsOptions, port: str = "replication") -> Contexts:
    material = options.material(port)
    assert isinstance(material, Material)
    return make_contexts(material)


def test_a_certificate_of_ours_passes_the_strict_checks(ours: Authority) -> None:
    """For nodes and for clients; what it says is read."""
    options = ours.options("paris-1")
    for port in ("replication", "clients", "http"):
        certificate = _make(options, port).certificate
        assert certificate.names == {"paris-1"}
        assert certificate.addresses == {"127.0.0.1"}


def test_without_a_ca_the_certificate_vouches_for_itself(ours: Authority) -> None:
    """As one from a public authority, whose CA no client of ours has to be told."""
    cert, key = ours.node("paris-1")
    options = TlsOptions(cert_file=cert, key_file=key, replication=PortTls(enabled=False))
    assert _make(options, "clients").certificate.names == {"paris-1"}
    with pytest.raises(ConfigError, match="ca_file is missing"):
        TlsOptions(cert_file=cert, key_file=key)


@pytest.mark.parametrize("what", ["key", "ca", "expired", "tomorrow", "garbage", "missing", "mode"])
def test_what_does_not_fit_is_named(
    what: str, ours: Authority, other: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ours.options("a")
    cert, key = ours.directory / "a.crt", ours.directory / "a.key"
    match what:
        case "key":
            options, says = replace(options, key_file=ours.node("b")[1]), "the key is not the certificate's"
        case "ca":
            options, says = replace(options, ca_file=other.ca), "the CA of the certificate is not in ca_file"
        case "expired":
            ours.node("a", days=EXPIRED)
            says = "the certificate has expired"
        case "tomorrow":
            begin_tomorrow(monkeypatch)
            ours.node("a")
            says = "not valid yet"
        case "garbage":
            cert.write_text("no certificate")
            says = "in the form of PEM"
        case "missing":
            options, says = replace(options, ca_file=tmp_path / "none"), "none: No such file"
        case "mode":
            key.chmod(0o644)
            says = "can be read by others: chmod 600"
    with pytest.raises(ConfigError, match=says):
        _make(options)
