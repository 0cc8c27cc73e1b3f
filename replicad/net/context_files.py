"""A TLS context with what its files hold: every context of a node begins here."""

from __future__ import annotations

import ssl
from pathlib import Path

from replicad.errors import ConfigError
from replicad.net.secrets import check_secret


def context_of(
    protocol: int,
    *,
    cert_file: Path | None,
    key_file: Path | None,
    ca_file: Path | None,
    newest_only: bool = False,
) -> ssl.SSLContext:
    """A file may be None: then the context has nothing of it. Raises ConfigError, which names the file."""
    context = ssl.SSLContext(protocol)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if newest_only else ssl.TLSVersion.TLSv1_2
    if cert_file is not None and key_file is not None:
        check_secret(key_file)
        try:
            # An empty password: a key that has one would be asked for at the terminal.
            context.load_cert_chain(cert_file, key_file, password=lambda: "")
        except OSError as error:
            raise ConfigError(f"{cert_file} and {key_file}: {_cause(error)}") from None
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise ConfigError(f"{ca_file}: {_cause(error)}") from None
    return context


def _cause(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error.strerror)
    match error.reason:
        case "KEY_VALUES_MISMATCH":
            return "the key is not the certificate's"
        case "BAD_DECRYPT" | "BAD_PASSWORD_READ":
            return "the key has a password: a daemon cannot ask for it"
        case "NO_CERTIFICATE_OR_CRL_FOUND" | "NO_START_LINE":
            return "there is no certificate in the form of PEM"
    if "PEM lib" in str(error):
        return "there is no certificate, or no key, in the form of PEM"
    return (error.reason or str(error)).lower().replace("_", " ")
