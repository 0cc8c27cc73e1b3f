"""Why something of the system failed, in words for people."""

from __future__ import annotations

import os

from replicad.errors import ReplicadError


def reason_of(error: BaseException) -> str:
    """Without the number that Python puts before the words of an OSError.

    >>> reason_of(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 6381)"))
    'connection refused'
    >>> reason_of(FileNotFoundError(2, "No such file or directory", "/x"))
    '/x: No such file or directory'
    >>> reason_of(TimeoutError())
    'no answer in time'
    >>> reason_of(KeyError("k"))
    "unexpected KeyError: 'k'"
    """
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        if error.filename is not None:
            return f"{error.filename}: {error.strerror}"
        return os.strerror(error.errno).lower()
    if isinstance(error, TimeoutError) and str(error) in ("", "timed out"):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:  # A name that is not resolved.
        return error.strerror.lower()
    text = str(error)
    if isinstance(error, ReplicadError | OSError) and text:
        return text

    # What is not ours has words for programmers, or none: its class says what they are about.
    from asyncio import CancelledError  # it takes long to load, and not every verb has it

    if isinstance(error, CancelledError):
        return "it was stopped before it was done"
    kind = f"unexpected {type(error).__name__}"
    return f"{kind}: {text}" if text else kind
