"""What runs behind the writes: flushes, compactions, and the log that may go."""
