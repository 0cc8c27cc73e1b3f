"""The primary's side of replication: sessions, the stream it sends, the log that slots hold."""
