"""A primary's history, shipped to replicas: positions, messages, the two sessions, bootstrap and slots."""
