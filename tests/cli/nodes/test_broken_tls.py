"""Why a connection over TLS did not come about, and whose fault that is."""

from __future__ import annotations

import ssl

import pytest

from replicad.cli.nodes.tls import broken
from replicad.errors import DoorFault, WrongDoorError


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] …")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (failed("WRONG_VERSION_NUMBER"), DoorFault.NO_TLS),
        (failed("TLSV1_ALERT_UNKNOWN_CA"), DoorFault.CERTIFICATE),
        (failed("TLSV13_ALERT_CERTIFICATE_REQUIRED"), DoorFault.CERTIFICATE),
        (failed("UNEXPECTED_EOF_WHILE_READING"), DoorFault.OTHER_PORT_OR_TLS),
    ],
)
def test_the_fault_of_a_handshake(error: ssl.SSLError, fault: DoorFault) -> None:
    found = broken(error, "paris:6380")
    assert isinstance(found, WrongDoorError)
    assert found.fault is fault
    assert str(found).startswith("paris:6380: ")
    assert "not permitted" not in str(found)


def test_a_network_that_breaks_is_not_the_fault_of_a_port() -> None:
    """Not even under TLS."""
    found = broken(ConnectionResetError(104, "Connection reset by peer"), "paris:6380")
    assert not isinstance(found, WrongDoorError)
    assert str(found) == "paris:6380: connection reset by peer"
