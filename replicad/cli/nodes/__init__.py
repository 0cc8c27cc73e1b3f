"""Nodes and data directories as the verbs see them: asked, read, compared, started."""
