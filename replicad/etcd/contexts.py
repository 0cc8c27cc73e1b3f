"""The TLS context for etcd's endpoints: made when first used, and anew once one of its files has changed, for
certificates are renewed while a node runs. What was read stays in use where the new ones do not fit."""

from __future__ import annotations

import ssl
from pathlib import Path

from replicad.env.events import get_logger
from replicad.errors import ConfigError
from replicad.etcd.options import EtcdOptions
from replicad.net.context_files import context_of

log = get_logger("replicad.etcd")

_Stamp = tuple[int, int, int] | None


class EtcdContext:
    """Belongs to the event loop."""

    def __init__(self, options: EtcdOptions) -> None:
        self.refused: str | None = None
        """What is wrong with the files as they are now."""
        self._options = options
        self._made: ssl.SSLContext | None = None
        self._seen: list[_Stamp] = []

    def current(self) -> ssl.SSLContext:
        """Raises ConfigError for files that do not fit, when none ever did."""
        options = self._options
        seen = [_stamp(file) for file in (options.ca_file, options.cert_file, options.key_file)]
        if self._made is not None and seen == self._seen:
            return self._made
        try:
            self._made = _context(options)
        except ConfigError as error:
            if self._made is None:
                raise
            # Asked again next time: of two files one may have been exchanged before the other.
            if self.refused != str(error):
                log.error("files.refused", reason=str(error))
            self.refused = str(error)
            return self._made
        self._seen, self.refused = seen, None
        return self._made


def _stamp(file: Path | None) -> _Stamp:
    try:
        found = None if file is None else file.stat()
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)


def _context(options: EtcdOptions) -> ssl.SSLContext:
    """The host's name counts, as the protocol has it: etcd's certificates are for hosts."""
    context = context_of(
        ssl.PROTOCOL_TLS_CLIENT,
        cert_file=options.cert_file,
        key_file=options.key_file,
        ca_file=options.ca_file,
    )
    if options.ca_file is None:
        context.load_default_certs()
    return context
