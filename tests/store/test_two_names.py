"""A segment that a crash left under both its names, in wal/ and in the archive."""

from __future__ import annotations

from tests.crash.script import DATA, Script, frames_of, options


def test_log_that_retention_lets_go_is_gone_from_both_names() -> None:
    """What retention lets go is gone from both: else it comes back, before a hole, at the next opening."""
    script = Script(options(log_retention_bytes=1 << 20))
    for number in range(9):
        script.put(b"%d" % number, bytes(1500))
    script.flush()
    script.run()
    script.close()
    oldest = script.fs.list(DATA / "archive")[0]
    image = script.fs.image()
    again = Script(
        options(log_retention_bytes=5000),
        image={**image, f"{DATA}/wal/{oldest}": image[f"{DATA}/archive/{oldest}"]},
        history=script.history,
        families=script.families,
    )
    again.shipped = again.database.position.sequence
    for number in range(9):
        again.put(b"%d" % number, bytes(1500))
    again.flush()
    again.run()
    assert oldest not in [*again.fs.list(DATA / "wal"), *again.fs.list(DATA / "archive")]
    again.reopen()
    first = again.database.oldest_log_sequence
    assert len(frames_of(again.database, first)) == again.database.position.sequence - first + 1
