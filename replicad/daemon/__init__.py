"""The primary and the replica as programs: configuration, logging, supervision, wiring."""
