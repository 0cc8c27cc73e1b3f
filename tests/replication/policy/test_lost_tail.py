"""What a primary does that may have lost log: tables in tests/testdata/lost_tail."""

from __future__ import annotations

import re

import pytest

from replicad.replication.policy.lost_tail import SEARCH, furthest, may_have_lost
from replicad.state import RoleRecord
from tests.replication.policy.test_roles import parts, stored, view
from tests.support.cases import Case, cases

SENT = re.compile(r"epoch (\d+), (?:boot (\w+)|searched)")
NOBODY = "nobody: a new epoch begins here"


def record(text: str | None) -> RoleRecord:
    if text is None:
        return RoleRecord(role="primary", epoch=3)
    epoch, boot = parts(SENT, text).groups()
    return RoleRecord(role="primary", epoch=3, ahead_epoch=int(epoch), ahead_boot=boot or SEARCH)


@pytest.mark.parametrize("case", cases("lost_tail/start"), ids=str)
def test_when_a_primary_may_have_lost_what_it_sent(case: Case) -> None:
    """Only a loss of power takes what was written, or a disk that failed."""
    lost = may_have_lost(
        record(case.get("sent")),
        stored(case.get("data")),
        boot_id=case.get("now") or "",
        doubted=case.flag("doubted"),
    )
    case.expect("yes" if lost else "no")


@pytest.mark.parametrize("case", cases("lost_tail/furthest"), ids=str)
def test_who_gives_a_tail_back(case: Case) -> None:
    """Whoever has most of the same epoch; nobody twice in vain."""
    others = {}
    for name in ("a", "b"):
        if (text := case.get(name)) is not None:
            answer, _, elsewhere = text.partition(" of ")
            others[name] = view(answer, "another" if elsewhere else "ours")
    but = (case.get("gave nothing") or "").split()
    case.expect(furthest(view(f"doubting at {case['here']}"), others, but) or NOBODY)
