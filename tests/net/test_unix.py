"""A Unix socket: its mode, its name after a kill, two that want it, and who comes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from replicad.net.unix import PATH_BYTES_MAX, is_operator, listen_at


class Silent(asyncio.Protocol):
    pass


async def test_its_mode_is_there_from_the_first_moment(tmp_path: Path) -> None:
    """And its name goes with it; nothing else is left."""
    path = tmp_path / "s"
    listener = await listen_at(path, 0o600, Silent)
    assert path.is_socket()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["s"]
    listener.close()
    assert not list(tmp_path.iterdir())


async def test_a_name_that_was_left_is_taken_over_and_one_in_use_is_not(tmp_path: Path) -> None:
    """Who was killed did not remove it; who lives keeps it, and removes no other's."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    first = await listen_at(path, 0o600, Silent)
    with pytest.raises(OSError, match="another process listens there"):
        await listen_at(path, 0o600, Silent)
    path.unlink()
    second = await listen_at(path, 0o600, Silent)
    first.close()
    assert path.is_socket()
    second.close()


async def test_what_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    """A slip of the pen in listen_unix does not cost a file; nor does a link to somewhere."""
    file, link = tmp_path / "node.toml", tmp_path / "link"
    file.write_text("data = 1")
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(OSError, match="something else than a Unix socket is there"):
            await listen_at(path, 0o600, Silent)
    assert file.read_text() == "data = 1"
    assert link.is_symlink()


async def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        await listen_at(tmp_path / ("s" * PATH_BYTES_MAX), 0o600, Silent)


def test_the_kernel_says_who_comes() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert is_operator(one.fileno())
