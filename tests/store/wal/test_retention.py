"""Which segments are archived and which deleted: a table in tests/testdata/retention."""

from __future__ import annotations

import re

import pytest

from replicad.store.wal.retention import RetentionRules, SegmentFacts, choose
from replicad.types import Sequence
from tests.support.cases import Case, cases

ARCHIVED = re.compile(r"archived (\d+) s ago")


def segments(case: Case) -> list[SegmentFacts]:
    states = [] if case["log"] == "none" else case["log"].split(" | ")
    return [segment(case, state, 10 * number) for number, state in enumerate(states, 1)]


def segment(case: Case, state: str, last: int) -> SegmentFacts:
    age = ARCHIVED.fullmatch(state)
    if age is None and state not in ("sealed", "growing"):
        raise case.error(f"{state!r} is not a segment")
    return SegmentFacts(
        Sequence(last), 100, age is not None, float(age[1]) if age else 0.0, state != "growing"
    )


def span(first: int, last: int) -> str:
    """The sequence numbers of segments."""
    return f"{10 * first + 1} to {10 * last}" if last > first else "nothing"


@pytest.mark.parametrize("case", cases("retention/log"), ids=str)
def test_which_log_is_archived_and_which_goes(case: Case) -> None:
    """Recovery's log stays live; the archive shrinks to its limits unless somebody holds it."""
    chain = segments(case)
    held, age_max = case.number("held from"), case.number("seconds max")
    choice = choose(
        chain,
        RetentionRules(
            Sequence(int(case["in tables"])),
            None if held is None else Sequence(held),
            int(case["bytes max"]),
            None if age_max is None else float(age_max),
            case.number("bytes short") or 0,
        ),
    )

    # What is archived already stands between what goes and what is archived now.
    there = sum(facts.archived for facts in chain[choice.delete :])
    archived = span(choice.delete + there, choice.delete + there + choice.archive)
    case.expect(f"deletes {span(0, choice.delete)}\narchives {archived}")
