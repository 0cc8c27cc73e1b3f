"""The manifest: which tables there are, and how much of the log they hold (`proto/manifest.md`)."""
