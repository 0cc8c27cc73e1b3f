"""The write path: batches checked, numbered, appended and inserted."""
