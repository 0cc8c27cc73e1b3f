"""A replication daemon and the log-structured store inside it."""
