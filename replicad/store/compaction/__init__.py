"""Leveled compaction: what to compact is a pure choice; merging is the kernel's."""
