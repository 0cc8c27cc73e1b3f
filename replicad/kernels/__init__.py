"""The C++ kernels: codecs, memtable, read view and merge.

A kernel opens no file, starts no thread, logs nothing and reads no clock. `CorruptionError` says that
bytes are not what was written, `InvalidArgument` that an argument is outside the limits of a format.
"""

from replicad.kernels._kernels import *  # noqa: F403
