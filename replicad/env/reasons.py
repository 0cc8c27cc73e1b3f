"""Why something of the system failed, in words for people."""

from __future__ import annotations

import os


def reason_of(error: BaseException) -> str:
    """Without the number that Python puts before the words of an OSError.

    >>> reason_of(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 6381)"))
    'connection refused'
    >>> reason_of(FileNotFoundError(2, "No such file or directory", "/x"))
    '/x: No such file or directory'
    >>> reason_of(TimeoutError())
    'no answer in time'
    """
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        if error.filename is not None:
            return f"{error.filename}: {error.strerror}"
        return os.strerror(error.errno).lower()
    if isinstance(error, TimeoutError) and str(error) in ("", "timed out"):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:  # A name that is not resolved.
        return error.strerror.lower()
    return str(error) or type(error).__name__
