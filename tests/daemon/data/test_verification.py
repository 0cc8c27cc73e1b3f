"""What a node says about data that differs."""

from __future__ import annotations

from pathlib import Path

from replicad.daemon.data.verification import describe
from replicad.replication.policy.roles import Standing
from replicad.replication.verify.comparison import Difference, DifferenceKind
from replicad.replication.wire.messages import WantMark
from tests.support.nodes.programs import primary


def test_differences_name_the_first_keys_and_count_the_others() -> None:
    """The first few keys with their families, and how many more there are."""
    one = Difference(0, 0, b"a", DifferenceKind.VALUE)
    assert describe((one,), {}) == "differs from its primary: 'a' (value)"
    many = (
        one,
        Difference(0, 2, b"k" * 100, DifferenceKind.MISSING),
        Difference(0, 3, b"old", DifferenceKind.FAMILY_EXTRA),
        one,
        one,
    )
    text = describe(many, {2: "orders"})
    assert text == (
        f"differs from its primary: 'a' (value), '{'k' * 64}' of column family 'orders' (missing), "
        "'old' (family-extra) and 2 more"
    )


async def test_no_mark_is_written_while_the_role_is_handed_over(tmp_path: Path) -> None:
    """What was durable when the writes were paused is all that there is, until they go on."""
    async with primary(tmp_path / "p") as node:
        assert node.store is not None
        before = node.store.appended_sequence
        node.standing.move(Standing.PAUSED)
        node.verification.answering.want_mark(WantMark(b"m" * 16, 10))
        assert node.store.appended_sequence == before
        node.standing.move(Standing.PRIMARY)
        node.verification.answering.want_mark(WantMark(b"m" * 16, 10))
        assert node.store.appended_sequence == before + 1
