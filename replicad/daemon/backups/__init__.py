"""Backups that a node makes of itself, and its log on the way to an archive."""
