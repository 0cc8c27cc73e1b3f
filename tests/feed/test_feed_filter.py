"""Which operations a feed gives."""

from __future__ import annotations

import pytest

from replicad.errors import NotFoundError
from replicad.feed.feed_filter import FeedFilter
from replicad.store.batch import WriteBatch
from replicad.store.updates import Update
from replicad.types import Epoch, HistoryHash, OperationKind, Position, Sequence


def update(batch: WriteBatch) -> Update:
    return Update(Position(Epoch(1), Sequence(9), HistoryHash(9)), Sequence(9), 1, batch)


def shown(chosen: Update | None) -> list[tuple[str, int, bytes]] | None:
    if chosen is None:
        return None
    return [(each.kind.name, each.family, each.key) for each in chosen.operations]


def written(*puts: tuple[bytes, int], annotation: bytes = b"") -> Update:
    batch = WriteBatch()
    for key, family in puts:
        batch.put(key, b"v", family)
    if annotation:
        batch.put_log_data(annotation)
    return update(batch)


def test_without_a_filter_an_update_is_given_as_it_is() -> None:
    """Annotations alone and marks, too."""
    whole = written(annotation=b"alone")
    assert FeedFilter((), ()).choose(whole) is whole


def test_a_prefix_chooses_keys_of_all_families() -> None:
    """Deletes as well as puts; the annotations of an update stay with what is left of it."""
    chosen = FeedFilter((), [b"a:", b"\xff"])
    batch = WriteBatch()
    for key in (b"a:1", b"b:1", b"\xff1"):
        batch.put(key, b"v", 3)
        batch.delete(key)
    batch.put_log_data(b"why")
    found = chosen.choose(update(batch))
    assert shown(found) == [
        ("PUT", 3, b"a:1"),
        ("DELETE", 0, b"a:1"),
        ("PUT", 3, b"\xff1"),
        ("DELETE", 0, b"\xff1"),
    ]
    assert found is not None and found.annotations == [b"why"]
    assert chosen.choose(written((b"b:1", 0), annotation=b"why")) is None


def test_a_family_is_chosen_by_the_name_that_it_has_or_gets() -> None:
    """Also one that is dropped and made again; what others do is left out."""
    chosen = FeedFilter(["orders"], ())
    chosen.learn({"default": 0, "orders": 1, "bills": 2}, "node")
    assert shown(chosen.choose(written((b"k", 0), (b"k", 1), (b"k", 2)))) == [("PUT", 1, b"k")]

    drop, make, other = WriteBatch(), WriteBatch(), WriteBatch()
    drop.add_drop_family(1)
    make.add_create_family(7, b"orders")
    other.add_create_family(8, b"more")
    assert shown(chosen.choose(update(drop))) == [("DROP_FAMILY", 1, b"")]
    assert shown(chosen.choose(update(make))) == [("CREATE_FAMILY", 7, b"orders")]
    assert chosen.choose(update(other)) is None
    assert shown(chosen.choose(written((b"k", 7), (b"k", 8)))) == [("PUT", 7, b"k")]


def test_a_family_that_is_not_there_is_an_error_when_the_feed_begins() -> None:
    """Later it may have been dropped."""
    with pytest.raises(NotFoundError, match="node has no column family orders"):
        FeedFilter(["orders"], ()).learn({"default": 0}, "node")
    chosen = FeedFilter(["orders"], ())
    chosen.learn({"orders": 1}, "node")
    chosen.learn({}, "node")


def test_family_and_prefix_both_have_to_hold() -> None:
    """Marks and epochs are of no family."""
    chosen = FeedFilter(["default"], [b"a"])
    chosen.learn({"default": 0}, "node")
    assert shown(chosen.choose(written((b"a", 0), (b"a", 1), (b"b", 0)))) == [("PUT", 0, b"a")]
    mark = WriteBatch()
    mark.add_mark(b"m")
    assert [each.kind for each in mark.operations] == [OperationKind.MARK]
    assert chosen.choose(update(mark)) is None
