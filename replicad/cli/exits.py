"""Exit codes, which scripts and units rely on, what each one means, and which error leads to which."""

from __future__ import annotations

from replicad.errors import (
    ConfigError,
    DifferentError,
    NewerFormatError,
    PoisonedError,
    UnreachableError,
    UsageError,
)

OK = 0
ERROR = 1
USAGE = 2
UNREACHABLE = 3
DIFFERENT = 4
DATA_DAMAGED = 65
STORAGE_FAILED = 74
BAD_CONFIGURATION = 78
INTERRUPTED = 130

MEANINGS = {
    OK: "it worked",
    ERROR: "it failed; stderr says why",
    USAGE: "the command line is wrong",
    UNREACHABLE: "the node cannot be reached",
    DIFFERENT: "the nodes differ (verify)",
    DATA_DAMAGED: "a node's data is damaged (primary, replica)",
    STORAGE_FAILED: "storage failed: what the disk holds is unknown",
    BAD_CONFIGURATION: "bad configuration, or data of a later release",
    INTERRUPTED: "interrupted",
}


def _summary() -> str:
    """Two columns, for the help of the program."""
    cells = [f"{code:<4}{meaning}" for code, meaning in MEANINGS.items()]
    left, right = cells[:4], cells[4:]
    rows = [f"  {left[row] if row < len(left) else '':<34}{right[row]}" for row in range(len(right))]
    return "\n".join(["\b", "Exit codes:", *rows])


SUMMARY = _summary()


def exit_code(error: BaseException) -> int:
    """The code for an error that ends the program."""
    match error:
        case UnreachableError():
            return UNREACHABLE
        case DifferentError():
            return DIFFERENT
        case UsageError():
            return USAGE
        case PoisonedError():
            return STORAGE_FAILED
        case ConfigError() | NewerFormatError():
            return BAD_CONFIGURATION
        case KeyboardInterrupt():
            return INTERRUPTED
    return ERROR
