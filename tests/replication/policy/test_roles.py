"""The decisions about roles, case by case."""

from __future__ import annotations

import pytest

from replicad.replication.policy.roles import (
    MOVES,
    Candidate,
    HighWatermark,
    NodeAhead,
    Standing,
    Stored,
    SurveyResult,
    Verdict,
    View,
    at_start,
    closes_loop,
    has_given,
    is_further,
    judge,
    may_promote,
    takes_role,
    would_be_deposed,
)
from replicad.state import RoleRecord
from replicad.types import Epoch, HistoryHash, Position, Sequence

ME, OTHER, DATABASE = b"m" * 16, b"o" * 16, b"d" * 16


def at(epoch: int, sequence: int = 10) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(1))


def record(role: str, epoch: int = 1, **fields: int) -> RoleRecord:
    return RoleRecord(role=role, epoch=epoch, **fields)  # type: ignore[arg-type]


STARTS = [
    # verb, record, data, role, said
    ("primary", None, None, "primary", None),
    ("replica", None, Stored(True, 3), "replica", None),
    ("primary", record("primary"), Stored(True, 1), "primary", None),
    ("replica", record("replica"), Stored(False, 1), "replica", None),
    ("replica", record("replica"), Stored(True, 2), "primary", "promoted"),
    ("replica", record("primary", 2), Stored(True, 2), "primary", "promoted"),
    ("primary", record("replica", 2), Stored(False, 2), "replica", "became a replica"),
    ("primary", record("replica", 2, fenced_by=3), Stored(True, 2), "replica", "fenced by epoch 3"),
    ("primary", record("replica", 1), None, "replica", "became a replica"),
    ("primary", record("primary", 1), Stored(False, 2), "replica", "became a replica"),
]


@pytest.mark.parametrize(("verb", "remembered", "stored", "role", "said"), STARTS)
def test_what_a_node_begins_as(
    verb: str,
    remembered: RoleRecord | None,
    stored: Stored | None,
    role: str,
    said: str | None,
) -> None:
    """What it remembers counts, unless its data knows a later epoch."""
    begin = at_start(verb, remembered, stored)  # type: ignore[arg-type]
    assert begin.role == role
    assert (begin.remembered is None) == (said is None)
    assert said is None or said in (begin.remembered or "")


def test_when_a_role_is_taken() -> None:
    """A flag counts at its start; a key in the configuration counts at the first start that has it."""
    assert not takes_role(record("replica"), flag=False, key=False)
    assert takes_role(record("replica", took_role=1), flag=True, key=False)
    assert takes_role(None, flag=False, key=True)
    assert takes_role(record("replica"), flag=False, key=True)
    assert not takes_role(record("replica", took_role=1), flag=False, key=True)


@pytest.mark.parametrize(
    ("candidate", "refused", "forced"),
    [
        (Candidate(None, None, SurveyResult()), "no data", None),
        (Candidate(at(1), None, SurveyResult(), installing=True), "no data", None),
        (Candidate(at(1), HighWatermark(1, 15), SurveyResult()), "11 to 15", "11 to 15"),
        (Candidate(at(1), HighWatermark(2, 15), SurveyResult()), "11 to 15", "11 to 15"),
        (Candidate(at(2), HighWatermark(1, 15), SurveyResult()), None, ""),
        (Candidate(at(1), HighWatermark(1, 10), SurveyResult(primary_answers=True)), "switchover", ""),
        (
            Candidate(at(1), None, SurveyResult(ahead=NodeAhead(":7000", at(1, 12)))),
            ":7000 is further",
            "11 to 12",
        ),
        (
            Candidate(at(1), HighWatermark(1, 15), SurveyResult(ahead=NodeAhead(":7000", at(1, 12)))),
            ":7000",
            "11 to 15",
        ),
        (Candidate(at(1), None, SurveyResult(ahead=NodeAhead(":7000", at(2, 5)))), ":7000", "in epoch 2"),
        (Candidate(at(1), None, SurveyResult(silent=(":7000", ":7001"))), ":7000, :7001 cannot be asked", ""),
        (
            Candidate(at(1), HighWatermark(1, 10), SurveyResult(given_to=":7000", given_epoch=2)),
            "given to :7000",
            "",
        ),
        (Candidate(at(1), HighWatermark(1, 10), SurveyResult()), None, ""),
        (Candidate(at(1), None, SurveyResult()), None, ""),
    ],
)
def test_who_may_be_promoted(candidate: Candidate, refused: str | None, forced: str | None) -> None:
    """Nothing known is lost without force; with it, what is lost is said. `forced` None: not even then."""
    why, _ = may_promote(candidate, force=False)
    assert (why is None) == (refused is None)
    assert refused is None or refused in (why or "")
    why, lost = may_promote(candidate, force=True)
    assert (why is None) == (forced is not None)
    assert (lost or "").count(forced or "never") >= (1 if forced else 0)


@pytest.mark.parametrize(
    ("there", "database", "ahead"),
    [
        (at(2, 11), DATABASE, True),
        (at(2, 10), DATABASE, False),
        (at(2, 9), DATABASE, False),
        (at(3, 1), DATABASE, True),
        (at(1, 99), DATABASE, False),
        (None, DATABASE, False),
        (at(2, 11), b"x" * 16, False),
    ],
)
def test_who_has_what_another_lacks(there: Position | None, database: bytes, ahead: bool) -> None:
    """More of the same epoch, or a higher one; a lower one has been given up."""
    other = View(OTHER, Standing.FOLLOWING, database, there, ())
    assert is_further(view(Standing.FOLLOWING, 2, node=ME), other) == ahead


def view(standing: Standing, epoch: int, *, node: bytes = OTHER, database: bytes | None = DATABASE) -> View:
    return View(node, standing, database, at(epoch), ())


@pytest.mark.parametrize(
    ("other", "epoch", "database", "deposed"),
    [
        (Standing.PRIMARY, 2, DATABASE, True),
        (Standing.DOUBTING, 3, DATABASE, True),
        (Standing.PRIMARY, 1, DATABASE, False),
        (Standing.FOLLOWING, 2, DATABASE, False),
        (Standing.FENCED, 2, DATABASE, False),
        (Standing.PRIMARY, 2, b"x" * 16, False),
        (Standing.PRIMARY, 2, None, False),
    ],
)
def test_whom_a_promotion_would_depose(
    other: Standing, epoch: int, database: bytes | None, deposed: bool
) -> None:
    """A primary of the same database, and no lower epoch, that is there."""
    me = view(Standing.FOLLOWING, 2, node=ME)
    assert would_be_deposed(me, view(other, epoch, database=database)) == deposed


@pytest.mark.parametrize(
    ("granted", "database", "counts"),
    [(3, DATABASE, True), (2, DATABASE, False), (None, DATABASE, False), (3, b"x" * 16, False)],
)
def test_which_grants_count(granted: int | None, database: bytes, counts: bool) -> None:
    """Those of this database whose epoch is not known here to have begun."""
    other = View(OTHER, Standing.FOLLOWING, database, at(2), (), granted=granted)
    assert has_given(view(Standing.FOLLOWING, 2, node=ME), other) == counts


JUDGEMENTS = [
    # me, my epoch, other, its epoch, fenced by, linked, verdict
    (Standing.PRIMARY, 1, Standing.PRIMARY, 2, None, False, Verdict.FENCE),
    (Standing.PRIMARY, 1, Standing.FOLLOWING, 2, None, False, Verdict.FENCE),
    (Standing.DOUBTING, 1, Standing.PRIMARY, 2, None, False, Verdict.FENCE),
    (Standing.PAUSED, 1, Standing.PRIMARY, 2, None, False, Verdict.FENCE),
    (Standing.PRIMARY, 2, Standing.PRIMARY, 2, None, False, Verdict.CLASH),
    (Standing.PRIMARY, 2, Standing.PRIMARY, 1, None, False, Verdict.NOTHING),
    (Standing.PRIMARY, 2, Standing.FOLLOWING, 2, None, False, Verdict.NOTHING),
    (Standing.FENCED, 1, Standing.PRIMARY, 2, 2, False, Verdict.FOLLOW),
    (Standing.FENCED, 1, Standing.FOLLOWING, 2, 2, False, Verdict.NOTHING),
    (Standing.FENCED, 1, Standing.PRIMARY, 1, 2, False, Verdict.NOTHING),
    (Standing.FOLLOWING, 1, Standing.PRIMARY, 2, None, False, Verdict.FOLLOW),
    (Standing.FOLLOWING, 1, Standing.PRIMARY, 2, None, True, Verdict.NOTHING),
    (Standing.FOLLOWING, 2, Standing.PRIMARY, 2, None, False, Verdict.NOTHING),
    (Standing.FOLLOWING, 2, Standing.PRIMARY, 1, None, False, Verdict.NOTHING),
]


@pytest.mark.parametrize(("me", "mine", "other", "its", "fenced_by", "linked", "verdict"), JUDGEMENTS)
def test_what_follows_from_hearing_of_another(
    me: Standing,
    mine: int,
    other: Standing,
    its: int,
    fenced_by: int | None,
    linked: bool,
    verdict: Verdict,
) -> None:
    """A higher epoch fences a primary, and is followed by those that have nobody to follow."""
    said = view(other, its)
    assert judge(view(me, mine, node=ME), said, fenced_by=fenced_by, linked=linked) is verdict
    stranger = view(other, its, database=b"x" * 16)
    assert judge(view(me, mine, node=ME), stranger, fenced_by=fenced_by, linked=linked) is Verdict.NOTHING


def test_a_loop_is_named_by_its_path() -> None:
    """Nodes may follow along any chain that does not come back to them."""
    one, two, three = (bytes([number]) * 16 for number in (1, 2, 3))
    assert closes_loop(one, two, (three,)) is None
    assert closes_loop(one, two, ()) is None
    assert closes_loop(one, two, (three, one)) == "01010101 -> 02020202 -> 03030303 -> 01010101"


def test_every_standing_can_be_left_and_answers_writes_in_one_way() -> None:
    """What waits is taken; what is not taken does not wait; nobody is stuck."""
    assert set(MOVES) == set(Standing)
    for standing in Standing:
        assert MOVES[standing]
        assert standing.takes_writes or not standing.holds_writes
        assert standing.holds_writes or not standing.holds_answers
        assert (standing.role == "primary") == standing.takes_writes
