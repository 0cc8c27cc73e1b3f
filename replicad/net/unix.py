"""Listening at a Unix socket: who may connect is the file's mode, who connected the kernel says."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from replicad.env.events import unbound

PATH_BYTES_MAX = 107
"""sun_path of unix(7), without its 0."""
_CREDENTIALS = struct.Struct("3i")


class UnixListener:
    """A socket with a name. The name goes when it closes, unless it is another's by then."""

    def __init__(self, path: Path, server: asyncio.Server) -> None:
        self._path = path
        self._server = server
        self._inode = path.stat().st_ino

    def close(self) -> None:
        self._server.close()
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


async def listen_at(
    path: Path, mode: int, factory: Callable[[], asyncio.BaseProtocol], *, accept: bool = True
) -> UnixListener:
    """Raises OSError, also when somebody listens there already. A name that a killed process left is taken
    over."""
    path = path.absolute()
    if len(os.fsencode(path)) > PATH_BYTES_MAX - len(".new"):
        raise OSError(errno.ENAMETOOLONG, "the path of a Unix socket is too long", str(path))
    if _somebody_listens(path):
        raise OSError(errno.EADDRINUSE, "another process listens there", str(path))

    # Under another name until its mode is right: from its first moment nobody else connects.
    made = path.with_name(f"{path.name}.new")
    made.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(made))
        made.chmod(mode)
        made.rename(path)
        making = asyncio.get_running_loop().create_unix_server(factory, sock=listening, start_serving=accept)
        # As at the doors: connections have no context of a session that opens a port.
        server = await asyncio.create_task(making, context=unbound())
    except BaseException:
        listening.close()
        raise
    return UnixListener(path, server)


def is_operator(fd: int) -> bool:
    """Whether root, or the user of this process, is at the other end of a connected socket."""
    with socket.socket(fileno=os.dup(fd)) as connected:
        found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(found)[1] in (0, os.geteuid())


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(str(path))
        except FileNotFoundError:
            return False
        except ConnectionRefusedError:
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise OSError(errno.EEXIST, "something else than a Unix socket is there", str(path)) from None
            return False
        except OSError:
            # Something is there that cannot be talked to: binding says what.
            return path.is_socket()
    return True
