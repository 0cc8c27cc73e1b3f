"""Backups that the node makes, and the log that it archives."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge

FAILED = gauge("replicad_backup_failed", "1 when the last backup that this process tried failed.")
RUNNING = gauge("replicad_backup_running", "1 while a backup is made.")
ARCHIVE_FAILING = gauge("replicad_archive_failing", "1 while the log cannot be archived.")
RESTORABLE = gauge(
    "replicad_archive_restorable", "1 when a backup is there that the archived log can be applied to."
)
GAP = gauge("replicad_archive_gap", "1 when log was removed before it was archived.")

FIELDS = Fields(
    {
        "backup.age_seconds": gauge(
            "replicad_backup_age_seconds",
            "How long ago this process made its last backup; no sample before the first.",
        ),
        "backup.making.size_bytes": gauge(
            "replicad_backup_done_bytes", "What of the backup under way is made."
        ),
        "backup.making.size_bytes_total": gauge(
            "replicad_backup_wanted_bytes", "The size of the backup under way."
        ),
        "backup.making.eta_seconds": gauge(
            "replicad_backup_remaining_seconds", "About how long it still takes."
        ),
        "log_archive.age_seconds": gauge(
            "replicad_archive_age_seconds",
            "How long ago the log was last known to be archived up to its end.",
        ),
        "log_archive.lag_sequences": gauge(
            "replicad_archive_lag_sequences", "Durable sequence numbers that are not archived."
        ),
        "log_archive.lag_bytes": gauge("replicad_archive_lag_bytes", "About how many bytes of log that is."),
        "log_archive.archived_bytes": counter(
            "replicad_archive_bytes_total", "Bytes of log that were archived."
        ),
        "log_archive.failures": gauge(
            "replicad_archive_failures", "Failed attempts since the last one that went well."
        ),
        "log_archive.failing_seconds": gauge(
            "replicad_archive_failing_seconds", "For how long it has failed."
        ),
    }
)

METRICS = (FAILED, RUNNING, ARCHIVE_FAILING, RESTORABLE, GAP, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    backup, archive = document.get("backup", {}), document.get("log_archive")
    yield RUNNING.of(backup.get("making") is not None)
    if backup.get("last") is not None:
        yield FAILED.of("error" in backup["last"])
    if archive is not None:
        yield ARCHIVE_FAILING.of(archive["state"] == "failing")
        yield RESTORABLE.of(bool(archive.get("restorable")))
        yield GAP.of(archive.get("gap") is not None)
    yield from FIELDS.samples(document)
