"""Copies of a database over the wire: what a primary serves, what a replica or a backup fetches."""
