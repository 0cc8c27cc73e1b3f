"""The network doors: every socket that listens and every connection that is opened, with TLS or without."""
