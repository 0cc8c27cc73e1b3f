"""Walks through a recording and opens every state that a crash could have left at any of its operations.

Depth 2: the opening of each state is a recording too, and is crashed in the same way. A state that is equal
to one that was opened before is not opened again: what comes out of it is known, and only judged anew.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.crash.cases import Case
from tests.crash.examine import Expectation, Opened, Outcome, Wrong, examine, examine_in
from tests.crash.recording import Recording
from tests.crash.states import Medium, State, Thoroughness
from tests.crash.workloads import WORKLOADS
from tests.support.files.journal import Note, Operation
from tests.support.files.memory_filesystem import Image

FIRST = Thoroughness(contents=24, orders=32, mixtures=8)
SECOND = Thoroughness(contents=4, orders=6, mixtures=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """`second_states` is how many new states of each recovery are opened; 0 makes it depth 1."""

    first: Thoroughness = FIRST
    second: Thoroughness = SECOND
    second_states: int = 60


@dataclass(frozen=True, slots=True)
class Share:
    """One piece of the work: of a workload, the first crashes whose state's key falls on `part`."""

    workload: str
    seed: int
    part: int
    parts: int
    limits: Limits


@dataclass
class Report:
    """`keys` are those of the distinct states that were opened."""

    workload: str
    operations: int = 0
    first: set[bytes] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)
    failures: list[Case] = field(default_factory=list)


def explore(share: Share) -> Report:
    """Stops at the first few failures of a share: one bug shows in many states."""
    recording = WORKLOADS[share.workload]()
    explorer = _Explorer(share, recording)
    journal = recording.script.fs.journal
    explorer.report.operations = sum(not isinstance(operation, Note) for operation in journal)
    medium = recording.script.medium
    for moment in _moments(medium, journal, Expectation.of(recording)):
        if moment.number % share.parts == share.part and share.limits.second_states:
            explorer.kill(moment)
        for state in medium.states(share.limits.first, explorer.draw):
            if state.key[0] % share.parts == share.part:
                explorer.crash(moment, state)
        if len(explorer.report.failures) >= FAILURES_MAX:
            break
    return explorer.report


FAILURES_MAX = 3


class _Explorer:
    def __init__(self, share: Share, recording: Recording) -> None:
        self.report = Report(share.workload)
        self.draw = random.Random(f"{share.seed} {share.workload} {share.part}")
        self._share = share
        self._recording = recording
        self._medium = recording.script.medium
        self._known: dict[bytes, Outcome | None] = {}
        """What each state opened to; None for one that failed."""

    def crash(self, moment: Moment, state: State) -> None:
        """The power fails, and fails again during the opening."""
        if (opened := self._examine(moment.story, moment.expectation, state)) is not None:
            self.report.first.add(state.key)
            self._crash_again(f"{moment.story}; {state.choice}", moment.expectation, opened)

    def kill(self, moment: Moment) -> None:
        """The process ends, and the power fails when it is opened again: nothing more is durable by then."""
        fs, medium = self._medium.killed()
        try:
            opened = examine_in(fs, medium, self._recording, moment.expectation)
        except Wrong as wrong:
            self._keep(wrong, f"killed {moment.story}", moment.expectation, fs.image())
        else:
            self._crash_again(f"killed {moment.story}", moment.expectation, opened)

    def _crash_again(self, story: str, expectation: Expectation, opened: Opened) -> None:
        limits = self._share.limits
        if not limits.second_states:
            return
        found: dict[bytes, tuple[str, Expectation, State]] = {}
        for moment in _moments(opened.medium, opened.journal, expectation):
            for state in opened.medium.states(limits.second, self.draw):
                if state.key in self._known:
                    self._examine(moment.story, moment.expectation, state)
                else:
                    both = f"{story}\nthen, as it opened, {moment.story}"
                    found[state.key] = (both, moment.expectation, state)
        chosen = list(found.values())
        most = min(limits.second_states, self._recording.second_states_max)
        if len(chosen) > most:
            chosen = self.draw.sample(chosen, most)
        for again in chosen:
            self._examine(*again)

    def _examine(self, story: str, expectation: Expectation, state: State) -> Opened | None:
        """None for a state that was opened before, and for one that is wrong."""
        try:
            if state.key in self._known:
                if (outcome := self._known[state.key]) is not None:
                    expectation.judge(outcome)
                return None
            self._known[state.key] = None
            self.report.keys.add(state.key)
            opened = examine(state.image, self._recording, expectation)
            self._known[state.key] = opened.outcome
            return opened
        except Wrong as wrong:
            self._keep(wrong, f"{story}; {state.choice}", expectation, state.image)
            return None

    def _keep(self, wrong: Wrong, story: str, expectation: Expectation, image: Image) -> None:
        share = self._share
        self.report.failures.append(Case(share.workload, share.seed, str(wrong), story, expectation, image))


@dataclass(frozen=True, slots=True)
class Moment:
    """Right after one operation: the medium has it, and this may come out of a crash now."""

    number: int
    story: str
    expectation: Expectation


def _moments(medium: Medium, journal: list[Operation], expectation: Expectation) -> Iterator[Moment]:
    """Applies one operation after another."""
    for number, operation in enumerate(journal):
        if isinstance(operation, Note):
            expectation = expectation.after(operation)
        else:
            medium.apply(operation)
        yield Moment(number, f"after operation {number}, {_short(operation)}", expectation)


def _short(operation: Operation) -> str:
    text = repr(operation)
    return text if len(text) <= 120 else f"{text[:117]}..."
