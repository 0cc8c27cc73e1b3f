"""What the log has beside writes is shown in words."""

from __future__ import annotations

import pytest

from replicad.cli.nodes.node import LogUpdate
from replicad.cli.verbs.updates import _print
from replicad.store.marks import Mark, MarkId, encode_mark
from replicad.store.write.control import encode_epoch
from replicad.types import (
    DEFAULT_FAMILY,
    Epoch,
    EpochRecord,
    HistoryHash,
    Operation,
    OperationKind,
    Position,
    Sequence,
)

EPOCH = encode_epoch(EpochRecord(Epoch(8), b"\xab" * 16, Position(Epoch(7), Sequence(99), HistoryHash(1))))
MARK = encode_mark(Mark(MarkId(b"\xcd" * 16), 60))


@pytest.mark.parametrize(
    "kind, value, expected",
    [
        (OperationKind.EPOCH, EPOCH, f"epoch 8 begins, after 7:99:0000000000000001; its id is {'ab' * 16}"),
        (OperationKind.EPOCH, b"?", "epoch of another version"),
        (OperationKind.MARK, MARK, f"mark {'cd' * 16}, held for 60 s"),
        (OperationKind.MARK, b"?", "mark of another version"),
    ],
)
def test_epochs_and_marks(
    kind: OperationKind, value: bytes, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers and ids, not the bytes of the record."""
    operation = Operation(kind, DEFAULT_FAMILY, b"", value)
    update = LogUpdate(
        epoch=8,
        first_sequence=100,
        last_sequence=100,
        history_hash=0,
        commit_time_us=0,
        operations=(operation,),
    )
    _print(update, False)
    assert capsys.readouterr().out.splitlines()[1].strip() == expected
