"""The log at a target: continuous archiving, and what restores to a moment read."""
