"""The C++ kernels: codecs, memtable, read view and merge."""
