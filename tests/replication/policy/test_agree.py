"""Whether a replica may follow, and whether a copy may replace its data: tables in tests/testdata/agree."""

from __future__ import annotations

import re

import pytest

from replicad.replication.policy.agree import (
    Code,
    Decision,
    History,
    Outcome,
    agree,
    last_common,
    may_bootstrap,
)
from replicad.types import Epoch, EpochRecord
from tests.support.cases import Case, CaseError, cases, position, with_short_hashes

EPOCH = re.compile(r"(?P<number>\d+)(?P<other> \[other id\])?(?: after (?P<fork>\S+))?")
DATABASES = {"ours": b"d" * 16, "another": b"x" * 16}


def history(case: Case, node: str) -> History | None:
    """What one of the two has; None without data."""
    text = case[node]
    if text == "no data":
        return None
    database = DATABASES[case.choice(f"{node} database", *DATABASES)]
    return History(database, position(text), epochs(case.get(f"{node} epochs") or "1"))


def epochs(text: str) -> tuple[EpochRecord, ...]:
    return () if text == "none" else tuple(epoch(part) for part in text.split("; "))


def epoch(text: str) -> EpochRecord:
    match = EPOCH.fullmatch(text)
    if match is None:
        raise CaseError(f"{text!r} is not an epoch")
    id_ = b"x" * 16 if match["other"] else match["number"].encode() * 16
    return EpochRecord(Epoch(int(match["number"])), id_, position(match["fork"] or "0:0"))


def in_words(decision: Decision) -> str:
    match decision.outcome:
        case Outcome.STREAM:
            what = f"stream from {decision.start}"
        case Outcome.REWIND:
            what = f"rewind to {decision.fork}"
        case outcome:
            assert (decision.start, decision.fork) == (None, None)
            what = outcome.value
    reason = decision.reason
    for name, id_ in DATABASES.items():
        reason = reason.replace(id_.hex(), name)
    return with_short_hashes(f"{what} ({decision.code.value})\n{reason}")


@pytest.mark.parametrize("case", cases("agree/follow"), ids=str)
def test_who_may_follow(case: Case) -> None:
    """Every case of the table has its outcome, its code and its reason."""
    primary = history(case, "primary")
    assert primary is not None
    found = case.get("found")
    decision = agree(
        primary,
        history(case, "replica"),
        found=None if found is None else position(found),
        oldest=int(case.get("log from") or 1),
        unproven=case.get("unproven"),
    )
    case.expect(in_words(decision))


def test_every_code_has_a_case() -> None:
    """No outcome and no code of the decision is without a case."""
    expected = "\n".join(case.expected for case in cases("agree/follow"))
    for code in Code:
        assert f"({code.value})" in expected
    for outcome in Outcome:
        assert re.search(rf"^{outcome.value}\b", expected, re.MULTILINE)


@pytest.mark.parametrize("case", cases("agree/bootstrap"), ids=str)
def test_a_replica_with_data_guards_it(case: Case) -> None:
    """Data is replaced only by a later position of the same database, and only because the log is gone."""
    primary = history(case, "primary")
    assert primary is not None
    refusal = may_bootstrap(history(case, "replica"), primary, Code(case["because"]))
    case.expect("takes the copy" if refusal is None else with_short_hashes(f"refuses: {refusal}"))


@pytest.mark.parametrize("case", cases("agree/common"), ids=str)
def test_the_last_position_that_both_went_through(case: Case) -> None:
    """A position that the other may not have is never it: what is after it is saved before a rejoin."""
    one, other = history(case, "replica"), history(case, "primary")
    assert one is not None and other is not None
    common = last_common(one, other)
    case.expect("not known" if common is None else with_short_hashes(str(common)))
