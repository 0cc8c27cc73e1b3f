"""The files that the configuration names, watched: certificates that somebody renewed are used without being
told. What was read stays in use where the new ones do not fit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

from replicad.daemon.config import NodeConfig
from replicad.daemon.reload import Prepare
from replicad.env.events import get_logger
from replicad.errors import ConfigError
from replicad.net.options import TlsOptions

log = get_logger("replicad.daemon")

_Look = dict[Path, tuple[int, int, int] | None]


class SecretFiles:
    """`config` gives what the node runs with, each of `prepare` what takes the files of it over."""

    def __init__(self, config: Callable[[], NodeConfig], *prepare: Prepare) -> None:
        self.refused: str | None = None
        """What is wrong with the files as they are now."""
        self._config = config
        self._prepare = prepare
        self._seen = _look_at(files_of(config()))

    async def run(self) -> None:
        """Never returns."""
        while True:
            await asyncio.sleep(self._config().tls.reload_seconds)
            self.look()

    def look(self) -> None:
        """Uses the files anew if one of them has changed."""
        config = self._config()
        seen = _look_at(files_of(config))
        if seen == self._seen:
            return
        changed = sorted(str(file) for file, stamp in seen.items() if self._seen.get(file) != stamp)
        try:
            swaps = [prepare(config) for prepare in self._prepare]
        except ConfigError as error:
            # Asked again at the next look: of two files one may have been exchanged before the other.
            if self.refused != str(error):
                log.error("files.refused", reason=str(error))
            self.refused = str(error)
            return
        for swap in swaps:
            swap()
        self._seen, self.refused = seen, None
        log.info("files.reloaded", changed=changed)


def files_of(config: NodeConfig) -> set[Path]:
    """Certificates, keys, CAs, passwords."""
    found = _files_in(config.tls)
    return found | {user.password_file for user in config.users.values() if user.password_file is not None}


def _files_in(options: object) -> set[Path]:
    found: set[Path] = set()
    if is_dataclass(options):
        for field in fields(options):
            value = getattr(options, field.name)
            if isinstance(value, Path):
                found.add(value)
            elif is_dataclass(value) and isinstance(options, TlsOptions):
                found |= _files_in(value)
    return found


def _look_at(files: set[Path]) -> _Look:
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
