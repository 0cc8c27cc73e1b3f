"""The replica's side of replication: the link to its primary, and the stream that it applies."""
