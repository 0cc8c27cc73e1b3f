"""Files that hold a secret: read only when nobody else can."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from replicad.errors import ConfigError

SECRET_BYTES_MAX = 64 * 1024


def check_secret(file: Path) -> None:
    """Raises ConfigError where others than the owner may read it. A file of root may be readable by its
    group, as in PostgreSQL: that is how certificates are shared."""
    try:
        found = file.stat()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{file} is not a regular file")
    forbidden = 0o027 if found.st_uid == 0 and os.geteuid() != 0 else 0o077
    if found.st_mode & forbidden:
        raise ConfigError(f"{file} can be read by others: chmod 600 {file}")


def read_secret(file: Path) -> str:
    """The first line; raises ConfigError."""
    check_secret(file)
    try:
        with file.open("rb") as opened:
            data = opened.read(SECRET_BYTES_MAX)
        text = data.decode()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: this is not text") from None
    line = text.partition("\n")[0].strip()
    if not line:
        raise ConfigError(f"{file}: the first line is empty; the secret belongs there")
    return line
