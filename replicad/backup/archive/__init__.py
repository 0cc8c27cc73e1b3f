"""The log at a target: continuous archiving, and what a restore to a point in time reads."""
