"""The change feed: a node's log over its client port, as an async iterator of updates."""
