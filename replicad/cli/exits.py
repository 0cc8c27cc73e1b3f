"""Exit codes, which scripts and units rely on, and which error leads to which.

0  it worked                        4   the nodes differ
1  it failed; stderr says why      65   a node's data is damaged (primary, replica)
2  the command line is wrong       74   storage failed: what the disk holds is unknown
3  the node cannot be reached      78   the configuration cannot be used, or the data is of a later release
                                  130   interrupted
"""

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

SUMMARY = """\
\b
Exit codes:
  0   it worked                       4   the nodes differ (verify)
  1   it failed; stderr says why      65  a node's data is damaged (primary, replica)
  2   the command line is wrong       74  storage failed: what the disk holds is unknown
  3   the node cannot be reached      78  the configuration cannot be used,
                                          or a later release wrote the data
                                      130 interrupted"""


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
