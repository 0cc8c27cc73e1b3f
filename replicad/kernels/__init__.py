"""The C++ kernels: codecs, memtable, read view and merge.

A kernel opens no file, starts no thread, logs nothing and reads no clock; `ClientSockets` receives and sends.
`CorruptionError` says that bytes are not what was written, `InvalidArgument` that an argument is outside the
limits of a format.
"""

import lz4.block._block

from replicad.env.process import after_fork_in_child, at_exit
from replicad.kernels._kernels import *  # noqa: F403
from replicad.kernels._kernels import finish, forked, load_lz4

EXIT_SECONDS_MAX = 10.0
"""How long the end of the interpreter waits for threads that are in a kernel: none may be there any more."""


def _end() -> None:
    finish(EXIT_SECONDS_MAX)


# A package of lz4 that was built without its own copy of the library has loaded that of the system.
if not (load_lz4(lz4.block._block.__file__) or load_lz4("liblz4.so.1")):
    raise ImportError("the package lz4 does not have the functions of LZ4: install another build of it")
after_fork_in_child(forked)
at_exit(_end)
