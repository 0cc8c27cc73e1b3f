"""A merge is published only when it read all of its inputs and wrote all that it kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import replicad
from replicad.errors import CorruptionError
from replicad.store.compaction.merge import Merge
from replicad.store.table.file import OpenTable
from replicad.store.table.meta import TableMeta
from tests.support.stores.small import fill


def one_entry_more(add_run: Callable[..., None]) -> Callable[..., None]:
    """`add_run` of tables that say that they hold one entry more than they do."""

    def add(merge: Merge, tables: list[OpenTable]) -> None:
        add_run(
            merge,
            [OpenTable(replace(t.meta, entries=t.meta.entries + 1), t.reader, t.table) for t in tables],
        )

    return add


def one_table_less(finish: Callable[..., TableMeta]) -> Callable[..., TableMeta]:
    """`_finish_table` that counts one entry less than it wrote."""
    return lambda merge, *arguments: replace(made := finish(merge, *arguments), entries=made.entries - 1)


@pytest.mark.parametrize(
    ("method", "wrong"),
    [("add_run", one_entry_more), ("_finish_table", one_table_less)],
    ids=["read", "written"],
)
def test_a_merge_that_lost_entries_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, wrong: Callable[..., object]
) -> None:
    """The tables stay as they were, everything is there, and `damage` says why nothing is compacted."""
    with replicad.open(tmp_path / "db") as database:
        fill(database, 100)
        database.flush()
        fill(database, 200, value=b"newer")
        database.flush()
        expected = dict(database.scan())
        with monkeypatch.context() as patch:
            patch.setattr(Merge, method, wrong(getattr(Merge, method)))
            with pytest.raises(CorruptionError, match="a merge did not"):
                database.compact()
        assert dict(database.scan()) == expected
    with replicad.open(tmp_path / "db") as database:
        assert dict(database.scan()) == expected
        database.compact()
        assert dict(database.scan()) == expected
