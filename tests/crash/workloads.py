"""The workloads: short, because most crash bugs need three operations or fewer, just after a sync.

To add one, write a function that plays it on a Script and put it in WORKLOADS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from replicad.store.copies.checkpoint import install
from replicad.store.open.rewind import cut_back
from tests.crash.backup_workloads import backup, purge, restore
from tests.crash.recording import Checkpoint, Recording
from tests.crash.script import (
    DATA,
    BesideBackground,
    Expected,
    History,
    Script,
    content_of,
    digest_of,
    frames_of,
    options,
)
from tests.support.files.memory_filesystem import Image

BIG = b"big " * 300
"""More than two sectors, so that an append of it tears in several places."""


Play = Callable[[], Recording]


def put() -> Recording:
    """Writes that are waited for, small and torn ones, on a new database."""
    script = Script(options())
    script.put(b"a", b"1")
    script.put(b"b", BIG)
    script.delete(b"a")
    script.put(b"c", b"3")
    script.close()
    return Recording(script)


def batch() -> Recording:
    """Batches of several keys, with annotations, and one with nothing else."""
    script = Script(options())
    script.write((b"a", b"1"), (b"b", BIG), annotation=b"who wrote this")
    script.write((b"a", None), (b"c", b"3"))
    script.write(annotation=b"an annotation alone")
    script.write((b"b", b"2"))
    return Recording(script)


def asynchronous() -> Recording:
    """Writes that are acknowledged before they are durable; the log is synced now and then."""
    script = Script(options(durability="async"))
    for number in range(9):
        script.submit((b"key-%d" % number, BIG[: number * 130]))
        if number % 4 == 3:
            script.run()
    return Recording(script)


def group() -> Recording:
    """Batches that wait for one sync together."""
    script = Script(options())
    for number in range(7):
        script.submit((b"key-%d" % (number % 3), b"%d" % number * 100))
    script.run()
    for number in range(4):
        script.submit((b"more-%d" % number, BIG))
    script.put(b"last", b"")
    return Recording(script)


def rotation() -> Recording:
    """Segments that fill within a few writes, several of them unsynced at a time."""
    script = Script(options(durability="async"))
    for number in range(16):
        script.submit((b"key-%d" % (number % 5), BIG))
        if number in (6, 7, 13):
            script.run()
    script.close()
    return Recording(script)


def flush() -> Recording:
    """Memtables become tables; what came later stays in the log."""
    script = Script(options())
    script.put(b"a", BIG)
    script.put(b"b", b"2")
    script.flush()
    script.put(b"a", b"3")
    script.delete(b"b")
    script.flush()
    script.put(b"c", b"4")
    return Recording(script)


def flush_beside_writer() -> Recording:
    """A writer goes on during a flush and a rotation, under "async": the log is ahead of what is synced."""
    script = Script(options(durability="async"))
    for number in range(5):
        script.submit((b"key-%d" % number, BIG))
    turns = iter(range(1000))

    def beside() -> None:
        if (turn := next(turns)) % 3 == 0:
            script.submit((b"beside-%d" % turn, BIG[:700]))

    with BesideBackground(script, beside):
        script.flush()
    script.run()
    return Recording(script)


def compaction() -> Recording:
    """Tables are merged and moved down, and the old ones go."""
    script = Script(options())
    for number in range(3):
        script.put(b"a", b"%d" % number * 300)
        script.put(b"b-%d" % number, BIG)
        script.delete(b"b-%d" % (number - 1))
        script.flush()
        script.run()
    script.compact()
    script.put(b"c", b"after")
    script.reopen()
    return Recording(script)


def archive() -> Recording:
    """Segments go to the archive, and the oldest of them go for good."""
    script = Script(options(log_retention_bytes=6000))
    for round in range(3):
        for number in range(4):
            script.put(b"%d" % number, BIG + b"%d" % round)
        script.flush()
        script.run()
    script.put(b"z", b"after")
    return Recording(script)


def families() -> Recording:
    """Column families come and go, with and without tables."""
    script = Script(options())
    script.create_family("one")
    script.put(b"a", b"1", "one")
    script.create_family("two")
    script.put(b"b", BIG, "two")
    script.flush()
    script.put(b"a", b"2", "one")
    script.drop_family("two")
    script.run()
    script.create_family("three")
    script.drop_family("one")
    script.put(b"c", b"3", "three")
    script.flush()
    script.run()
    return Recording(script)


def checkpoint() -> Recording:
    """Copies on the same machine, with the log's tail and without, while the original goes on."""
    script = Script(options())
    script.put(b"a", BIG)
    script.flush()
    script.put(b"b", b"2")
    script.copied("with log", script.database.create_checkpoint("/copies/log").position)
    script.put(b"c", b"3")
    script.copied("flushed", script.database.create_checkpoint("/copies/flushed", flush=True).position)
    script.put(b"a", b"4")
    script.run()
    log, flushed = (Checkpoint(Path("/copies") / name) for name in ("log", "flushed"))
    return Recording(script, copies={"with log": log, "flushed": flushed})


def copy_opened_for_writing() -> Recording:
    """A copy with a log becomes a database of its own, which writes."""
    origin = Script(options())
    origin.put(b"a", BIG)
    origin.flush()
    origin.create_family("one")
    origin.put(b"b", BIG, "one")
    origin.database.create_checkpoint(DATA.with_name("copy"))
    position = origin.database.position
    image = origin.fs.image()
    script = Script(
        options(),
        image=image,
        path=DATA.with_name("copy"),
        history=History([Expected(position, digest_of(origin.families))]),
        families=origin.families,
    )
    script.shipped = position.sequence
    script.put(b"a", b"2")
    script.flush()
    script.put(b"b", b"3", "one")
    return Recording(script)


def reopening() -> Recording:
    """Closes and openings one after another, with options that change, and log that is read back."""
    script = Script(options())
    script.put(b"a", BIG)
    script.reopen()
    script.put(b"b", b"2")
    script.options = options(memtable_bytes=128 * 1024)
    script.reopen()
    script.flush()
    script.reopen()
    script.put(b"c", b"3")
    return Recording(script)


def _primary() -> tuple[Script, list[bytes], Image]:
    """A primary with history, its frames, and the image with a flushed copy of its beginning in DATA."""
    primary = Script(options(), path=Path("/primary"))
    primary.put(b"a", BIG)
    primary.put(b"b", b"2")
    primary.database.create_base_copy(DATA)
    image = {path: data for path, data in primary.fs.image().items() if path.startswith(f"{DATA}/")}
    primary.create_family("one")
    for number in range(8):
        primary.write((b"key-%d" % (number % 3), BIG[: 1 + number * 150]), annotation=b"%d" % number)
    primary.drop_family("one")
    primary.put(b"c", b"3")
    return primary, frames_of(primary.database), image


def replica() -> Recording:
    """A replica applies its primary's frames, one by one and several at once, and flushes."""
    primary, frames, image = _primary()
    script = Script(options(), role="replica", image=image, history=primary.history)
    script.shipped = script.database.position.sequence
    at = script.shipped
    script.apply(frames[at])
    script.run()
    script.apply(b"".join(frames[at + 1 : at + 4]))
    script.apply(frames[at + 4])
    script.flush()
    script.apply(b"".join(frames[at + 5 : at + 7]))
    script.run()
    script.apply(frames[at + 7])
    return Recording(script, frames=dict(enumerate(frames, start=1)))


def bootstrap() -> Recording:
    """A replica's data is replaced by a newer copy of its primary's: the old or the new opens, never less."""
    primary, frames, image = _primary()
    script = Script(options(), role="replica", image=image, history=primary.history)
    script.shipped = script.database.position.sequence
    at = script.shipped
    script.apply(b"".join(frames[at : at + 4]))
    script.flush()
    script.apply(frames[at + 4])
    script.run()
    script.close()
    primary.database.create_base_copy("/staging")
    staged = {path: data for path, data in primary.fs.image().items() if path.startswith("/staging/")}
    arrived = Script(
        options(),
        role="replica",
        image={**script.fs.image(), **staged},
        history=primary.history,
    )
    arrived.shipped = arrived.database.position.sequence
    arrived.close()
    install(arrived.env, Path("/staging"), DATA)
    arrived.fs.note("floor", primary.history.rank(primary.database.position))
    return Recording(arrived, frames=dict(enumerate(frames, start=1)))


def role_change() -> Recording:
    """A replica is promoted, writes, is demoted, and is promoted once more."""
    primary, _, image = _primary()
    script = Script(
        options(),
        role="replica",
        image=image,
        history=History(primary.history.states[:3]),
    )
    script.families = content_of(script.database)
    script.shipped = script.database.position.sequence
    script.promote()
    script.put(b"d", BIG)
    script.put(b"a", b"5")
    script.demote()
    script.promote()
    script.flush()
    script.put(b"e", b"6")
    return Recording(script, changes_role=True)


def lost_tail() -> Recording:
    """A primary that lost its last batches opens as a replica, gets some back, and begins an epoch."""
    lost = Script(options(durability="async"))
    for number in range(3):
        lost.put(b"key-%d" % number, BIG[: 1 + number * 400])
    lost.run()
    image = lost.fs.image()
    for number in range(5):
        lost.put(b"key-%d" % (number % 4), BIG[: 1 + number * 200])
    lost.run()
    frames = frames_of(lost.database)
    script = Script(options(durability="async"), role="replica", image=image, history=lost.history)
    at = script.shipped = script.database.position.sequence
    script.apply(frames[at])
    script.run()
    script.apply(b"".join(frames[at + 1 : at + 4]))
    script.history = History(lost.history.states[: at + 5])
    script.families = content_of(script.database)
    script.promote()
    script.put(b"d", BIG)
    script.run()
    script.flush()
    script.put(b"e", b"6")
    return Recording(script, changes_role=True)


def rewind() -> Recording:
    """A closed replica's log is cut back to an earlier position: the one or the other opens."""
    primary, frames, image = _primary()
    script = Script(options(), role="replica", image=image, history=primary.history)
    at = script.shipped = script.database.position.sequence
    script.apply(b"".join(frames[at : at + 3]))
    script.run()
    back = script.database.position
    script.apply(b"".join(frames[at + 3 : at + 8]))
    script.run()
    script.close()
    last = script.database.position
    states = {known.position: known for known in primary.history.states}
    closed = Script(
        options(),
        role="replica",
        image=script.fs.image(),
        history=History([states[back], states[last]]),
    )
    closed.database.close()
    cut_back(closed.env, DATA, closed.options, back)
    closed.fs.note("narrowed", {back: (0, states[back].digest)})
    return Recording(closed)


WORKLOADS: dict[str, Play] = {
    play.__name__: play
    for play in (
        put,
        batch,
        asynchronous,
        group,
        rotation,
        flush,
        flush_beside_writer,
        compaction,
        archive,
        families,
        checkpoint,
        copy_opened_for_writing,
        reopening,
        replica,
        bootstrap,
        role_change,
        lost_tail,
        rewind,
        backup,
        purge,
        restore,
    )
}
