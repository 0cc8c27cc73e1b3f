"""Copies of an open database: cuts, checkpoints, lists of live files, saved log."""
