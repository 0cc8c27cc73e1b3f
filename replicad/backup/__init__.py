"""Backups: copies that outlive the machine, incremental and verifiable (`proto/backup.md`)."""
