"""The life of a store: puts, a batch, families, flushes, compaction, a checkpoint, reopening."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from replicad import WriteBatch
from replicad.env import Env
from replicad.store.database import open_database
from tests.crash.script import Families, content_of
from tests.crash.states import Thoroughness
from tests.faults.run import BIG, Run, Step, Wrong, background, flush, open_anew, put, reopen
from tests.support.files.memory_filesystem import Image

COPY = Path("/copies/one")


class StoreRun(Run):
    crashes: ClassVar[Thoroughness] = Thoroughness(contents=4, orders=6, mixtures=2)

    def check_beside(self, image: Image, when: str) -> None:
        found = self.seen(image, COPY, self._open_copy)
        if isinstance(found, Exception):
            raise Wrong(f"{when} the checkpoint does not open: {found!r}") from found
        if found is not None and found not in self.states:
            raise Wrong(f"{when} the checkpoint holds {found}")

    def _open_copy(self, env: Env) -> Families | None:
        if not env.fs.exists(COPY):
            return None
        with open_database(COPY, self.options, env=env, read_only=True) as copy:
            return content_of(copy)


def _batch(run: Run) -> None:
    batch = WriteBatch()
    batch.put(b"a", BIG)
    batch.delete(b"b")
    batch.put_log_data(b"an annotation")
    result = run.content()
    result["default"][b"a"] = BIG
    result["default"].pop(b"b", None)
    run.write(lambda database: database.write(batch), result)


def _family(run: Run) -> None:
    run.write(lambda database: database.create_family("one"), {**run.content(), "one": {}})


def _compact(run: Run) -> None:
    run.opened.compact()


def _checkpoint(run: Run) -> None:
    if not run.fs.exists(COPY):
        run.opened.create_checkpoint(COPY)


STEPS: tuple[Step, ...] = (
    open_anew,
    put(b"a", b"1"),
    put(b"b", BIG),
    _batch,
    flush,
    background,
    put(b"c", BIG),
    _family,
    put(b"d", BIG, "one"),
    put(b"e", BIG),
    flush,
    _compact,
    background,
    put(b"f", b"2"),
    _checkpoint,
    reopen,
    put(b"b", b"3"),
    flush,
    background,
)
StoreRun.steps = STEPS
