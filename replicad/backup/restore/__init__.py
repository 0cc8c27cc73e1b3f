"""The way back: a backup, and the log after it, become the content of a directory (`proto/backup.md`)."""
