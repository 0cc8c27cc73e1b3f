"""Datagrams for the service manager."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from replicad.daemon.process.notify import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_gets_the_assignments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    """One datagram with one assignment a line, to a path or an abstract name."""
    path = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path[1:] if abstract else path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify("READY=1", "STATUS=at 7")
        assert manager.recv(100) == b"READY=1\nSTATUS=at 7"


def test_no_manager_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a manager, or with one that is gone, nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    notify("READY=1")
