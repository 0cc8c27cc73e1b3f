"""Workloads of backups: made, purged, and restored over a database that went on meanwhile."""

from __future__ import annotations

from pathlib import Path

from replicad import BackupEngine
from tests.crash.recording import ONE_AT_A_TIME, Backup, Recording
from tests.crash.script import DATA, History, Script, options

ROOT = Path("/backups")
VALUE = b"value " * 100


def _back_up(script: Script, name: str, *, flush: bool = False) -> None:
    engine = BackupEngine(ROOT, ONE_AT_A_TIME, env=script.env)
    script.copied(name, engine.create_backup(script.database, flush_before_backup=flush).position)


def _two_backups(*, flush: bool = False) -> Script:
    """With `flush` they hold no log: what is replayed by a restore needs threads of its own."""
    script = Script(options())
    script.put(b"a", VALUE)
    script.flush()
    script.put(b"b", b"2")
    _back_up(script, "first", flush=flush)
    script.put(b"a", b"3")
    _back_up(script, "second", flush=flush)
    return script


def backup() -> Recording:
    """Two backups that share a table, both with log of their own, while the database goes on."""
    script = _two_backups()
    script.put(b"c", b"4")
    return Recording(
        script, copies={"first": Backup(ROOT, 1), "second": Backup(ROOT, 2)}, second_states_max=8
    )


def purge() -> Recording:
    """The older of two backups goes, with what only it has."""
    script = _reopened(_two_backups())
    engine = BackupEngine(ROOT, ONE_AT_A_TIME, env=script.env)
    for name, info in zip(("first", "second"), engine.get_backup_info(), strict=True):
        script.copied(name, info.position)
    script.fs.note("leaving", "first")
    engine.purge_old_backups(1)
    return Recording(
        script, copies={"first": Backup(ROOT, 1), "second": Backup(ROOT, 2)}, second_states_max=8
    )


def restore() -> Recording:
    """A backup takes the place of a database that has gone on: the one or the other opens, whole."""
    origin = _two_backups(flush=True)
    origin.put(b"c", VALUE)
    origin.flush()
    origin.put(b"d", b"5")
    script = _reopened(origin)
    last = script.database.position
    script.close()
    engine = BackupEngine(ROOT, ONE_AT_A_TIME, env=script.env)
    first = engine.get_backup_info()[0].position
    known = {at.position: (rank, at.digest) for rank, at in enumerate(script.history.states)}
    script.fs.note("narrowed", {last: known[last], first: known[first]})
    engine.restore_backup(1, DATA)
    script.fs.note("narrowed", {first: known[first]})
    return Recording(
        script, copies={"first": Backup(ROOT, 1), "second": Backup(ROOT, 2)}, second_states_max=8
    )


def _reopened(origin: Script) -> Script:
    """The recording begins here, and all that was before is durable."""
    origin.close()
    script = Script(options(), image=origin.fs.image(), history=History(list(origin.history.states)))
    script.shipped = script.database.position.sequence
    script.fs.note("floor", script.history.rank(script.database.position))
    return script
