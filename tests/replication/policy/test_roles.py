"""The decisions about roles: tables in tests/testdata/roles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from replicad.replication.policy.roles import (
    MOVES,
    Candidate,
    HighWatermark,
    NodeAhead,
    Role,
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
    own_refusal,
    takes_role,
    would_be_deposed,
)
from replicad.state import RoleRecord
from tests.support.cases import Case, CaseError, cases, position, with_short_hashes

VERBS: Mapping[str, Role] = {"primary": "primary", "replica": "replica"}
DATABASES = {"ours": b"d" * 16, "another": b"x" * 16, "none": None}
RECORD = re.compile(r"(primary|replica), epoch (\d+)(?:, fenced by (\d+))?(, took its role)?")
DATA = re.compile(r"(takes writes|follows), epoch (\d+)")
VIEW = re.compile(
    r"(?P<standing>\S+) (?:at (?P<at>\S+?)|without data)(?:, gave away epoch (?P<granted>\d+))?"
)


def parts(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise CaseError(f"{text!r} is not like {pattern.pattern!r}")
    return match


def record(text: str | None) -> RoleRecord | None:
    if text is None:
        return None
    role, epoch, fenced_by, took = parts(RECORD, text).groups()
    return RoleRecord(
        role=role,
        epoch=int(epoch),
        fenced_by=None if fenced_by is None else int(fenced_by),
        took_role=1 if took else 0,
    )


def stored(text: str | None) -> Stored | None:
    if text is None:
        return None
    kind, epoch = parts(DATA, text).groups()
    return Stored(kind == "takes writes", int(epoch))


def view(text: str, database: str = "ours") -> View:
    """What a node tells of itself."""
    match = parts(VIEW, text)
    return View(
        b"o" * 16,
        Standing(match["standing"]),
        DATABASES[database],
        None if match["at"] is None else position(match["at"]),
        (),
        granted=None if match["granted"] is None else int(match["granted"]),
    )


@pytest.mark.parametrize("case", cases("roles/start"), ids=str)
def test_what_a_node_begins_as(case: Case) -> None:
    """What it remembers counts, unless its data knows a later epoch."""
    start = at_start(VERBS[case["verb"]], record(case.get("record")), stored(case.get("data")))
    case.expect(start.role if start.remembered is None else f"{start.role}\n{start.remembered}")


@pytest.mark.parametrize("case", cases("roles/take_role"), ids=str)
def test_when_a_role_is_taken(case: Case) -> None:
    """A flag counts at its start; a key in the configuration counts at the first start that has it."""
    takes = takes_role(record(case.get("record")), flag=case.flag("flag"), key=case.flag("key"))
    case.expect("takes the role of the verb" if takes else "keeps the role that it has")


@pytest.mark.parametrize("case", cases("roles/own_refusal"), ids=str)
def test_what_a_node_knows_against_its_own_promotion(case: Case) -> None:
    """What it gave up, or was fenced by, it does not take back unless somebody insists."""
    standing, given_to = Standing(case["standing"]), case.get("given to")
    fenced_by = None if case.get("fenced by") is None else int(case["fenced by"])

    def answer(*, force: bool) -> str:
        refusal = own_refusal(standing, fenced_by=fenced_by, given_to=given_to, force=force)
        return "may go on" if refusal is None else f"refused: {refusal}"

    case.expect(f"without force: {answer(force=False)}\nwith force: {answer(force=True)}")


@pytest.mark.parametrize("case", cases("roles/promotion"), ids=str)
def test_who_may_be_promoted(case: Case) -> None:
    """Nothing known is lost without force; with it, what is lost is said."""
    known = candidate(case)
    case.expect(f"without force: {promotion(known, force=False)}\nwith force: {promotion(known, force=True)}")


def candidate(case: Case) -> Candidate:
    here, acknowledged, ahead, given = case["here"], case.get("acknowledged"), case.get("ahead"), "given to"
    where, _, there = (ahead or "").partition(" at ")
    given_to, _, given_epoch = (case.get(given) or "").partition(" in epoch ")
    durable = None if acknowledged is None else position(acknowledged)
    return Candidate(
        None if here == "no data" else position(here),
        None if durable is None else HighWatermark(durable.epoch, durable.sequence),
        SurveyResult(
            primary_answers=case.flag("primary answers"),
            given_to=given_to or None,
            given_epoch=int(given_epoch or 0),
            ahead=None if ahead is None else NodeAhead(where, position(there)),
            silent=tuple(filter(None, (case.get("silent") or "").split(", "))),
        ),
        installing=case.flag("installing"),
    )


def promotion(known: Candidate, *, force: bool) -> str:
    refusal, lost = may_promote(known, force=force)
    if refusal is not None:
        return with_short_hashes(f"refused: {refusal}")
    return "promoted" if lost is None else f"promoted; this loses {lost}"


@pytest.mark.parametrize("case", cases("roles/other_nodes"), ids=str)
def test_what_another_node_means_for_a_promotion(case: Case) -> None:
    """Who has more, who would be deposed, and to whom the role was given: of the same database only."""
    me = view(f"following at {case['here']}")
    other = view(case["there"], case.choice("database", *DATABASES))
    found = {
        "has more": is_further(me, other),
        "would be deposed": would_be_deposed(me, other),
        "has given the role away": has_given(me, other),
    }
    case.expect("\n".join(what for what, true in found.items() if true) or "nothing")


DOES = {
    Verdict.NOTHING: "nothing",
    Verdict.FENCE: "steps down, fenced by the higher epoch",
    Verdict.FOLLOW: "follows the other",
    Verdict.CLASH: "reports a clash: two primaries in one epoch",
}


@pytest.mark.parametrize("case", cases("roles/hearing"), ids=str)
def test_what_follows_from_hearing_of_another(case: Case) -> None:
    """A higher epoch fences a primary, and is followed by those that have nobody to follow."""
    me, other = view(case["me"]), view(case["other"])
    fenced_by, linked, unproven = case.number("fenced by"), case.flag("linked"), case.flag("unproven")
    verdict = judge(me, other, fenced_by=fenced_by, linked=linked, unproven=unproven)
    case.expect(DOES[verdict])

    # Nothing follows from a node of another database, whatever it is.
    for database in (DATABASES["another"], None):
        stranger = replace(other, database_id=database)
        assert judge(me, stranger, fenced_by=fenced_by, linked=linked) is Verdict.NOTHING


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
