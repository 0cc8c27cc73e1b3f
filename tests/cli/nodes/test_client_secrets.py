"""Where the command line sends a password, and where it does not."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

import pytest

from replicad.cli.nodes.access import Access
from replicad.cli.nodes.client import Client
from replicad.errors import UnreachableError


@pytest.mark.parametrize(
    "peer, tls, sent",
    [
        (("127.0.0.1", 6380), None, True),
        (("::1", 6380, 0, 0), None, True),
        (("10.0.0.1", 6380), None, False),
        (("fe80::1", 6380, 0, 0), None, False),
        (("10.0.0.1", 6380), False, True),
    ],
)
def test_a_password_goes_in_clear_text_only_where_somebody_said_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, peer: tuple[str, int], tls: bool | None, sent: bool
) -> None:
    """Within this machine nobody else hears it."""
    secret = tmp_path / "secret"
    secret.write_text("of the operator")
    secret.chmod(0o600)
    plain = MagicMock(getpeername=lambda: peer, recv=lambda size: b"+OK\r\n")
    monkeypatch.setattr("replicad.cli.nodes.client.connect", lambda *_: plain)

    def log_in() -> None:
        Client(peer[0], peer[1], access=Access(tls=tls, user="alice", password_file=secret)).close()

    if sent:
        log_in()
        assert b"of the operator" in plain.sendall.call_args.args[0]
    else:
        with pytest.raises(UnreachableError, match="in clear text"):
            log_in()
        plain.sendall.assert_not_called()
    plain.close.assert_called_once()
