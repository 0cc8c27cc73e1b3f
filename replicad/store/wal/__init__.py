"""The write-ahead log: segments, writing, recovery, tailing and retention (`proto/log.md`)."""
