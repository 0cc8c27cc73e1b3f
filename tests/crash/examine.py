"""Opens what a crash left, as anybody would, and tells whether it is what was promised.

The opening is recorded in its turn, so that a second crash during it can be built from its journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from replicad.store.database import open_database
from replicad.store.manifest.file import load
from replicad.types import Position
from tests.crash.recording import Copy, Recording
from tests.crash.script import Script, content_of, digest_of, end_of_log
from tests.crash.states import Medium
from tests.support.files.journal import Note, Operation
from tests.support.files.memory_filesystem import Image, MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env

EXTRA = (b"written after the crash", b"!")


class Wrong(Exception):
    """A state that breaks a promise; the message says how."""


@dataclass(frozen=True)
class Outcome:
    """What a state recovers to, and the copies that there are."""

    position: Position
    copies: Mapping[str, Position | None]


@dataclass(frozen=True)
class Expectation:
    """What may come out of a crash at one moment.

    `states` are digests of content by position, in the order of the history; the ranks below `floor` were
    promised away.
    """

    states: Mapping[Position, tuple[int, bytes]]
    floor: int
    copies: Mapping[str, Position]
    """Copies that were reported complete."""
    loose: bool = False
    """A history hash may differ: recovery writes a frame of its own, with its own commit time."""

    @classmethod
    def of(cls, recording: Recording) -> Expectation:
        """At the beginning of the recording."""
        history = recording.script.history.states
        states = {known.position: (rank, known.digest) for rank, known in enumerate(history)}
        return cls(states, 0, {}, loose=recording.changes_role)

    def after(self, note: Note) -> Expectation:
        if note.what == "floor":
            return replace(self, floor=max(self.floor, note.value))
        if note.what == "copy":
            name, position = note.value
            return replace(self, copies={**self.copies, name: position})
        if note.what == "leaving":
            left = {name: position for name, position in self.copies.items() if name != note.value}
            return replace(self, copies=left)
        assert note.what == "narrowed"
        return replace(self, states=note.value, floor=min(rank for rank, _ in note.value.values()))

    def known(self, position: Position) -> tuple[int, bytes] | None:
        """(rank, digest of content) at a position; None for one that it must not be at."""
        if position not in self.states and self.loose:
            for other, known in self.states.items():
                if (other.epoch, other.sequence) == (position.epoch, position.sequence):
                    return known
        return self.states.get(position)

    def judge(self, outcome: Outcome) -> None:
        known = self.known(outcome.position)
        if known is None:
            raise Wrong(f"{outcome.position} is no position that it may be at")
        if known[0] < self.floor:
            raise Wrong(f"it holds the first {known[0]} batches; {self.floor} had been promised")
        for name, position in self.copies.items():
            if outcome.copies.get(name) != position:
                raise Wrong(
                    f"the copy {name!r} was complete at {position}; now it is {outcome.copies.get(name)}"
                )


@dataclass
class Opened:
    """One opening of a state: what came out, and the record of how."""

    outcome: Outcome
    medium: Medium
    journal: list[Operation]


def examine(image: Image, recording: Recording, expectation: Expectation) -> Opened:
    """Opens the state, compares all of it, writes to it and closes it; raises Wrong."""
    fs = MemoryFileSystem(image)
    return examine_in(fs, Medium(fs), recording, expectation)


def examine_in(
    fs: MemoryFileSystem, medium: Medium, recording: Recording, expectation: Expectation
) -> Opened:
    """The same of what `fs` shows, of which `medium` says how much is durable."""
    script = recording.script
    copies = {name: _position_of_copy(name, copy, fs, script) for name, copy in recording.copies.items()}
    runner = InlineRunner()
    try:
        role = script.role
        if recording.changes_role and fs.exists(script.path / "CURRENT"):
            role = "replica" if load(fs, script.path).copy else "owner"
        database = open_database(script.path, script.options, env=inline_env(fs, runner, 2), role=role)
    except Exception as error:
        raise Wrong(f"it does not open: {error!r}") from error
    outcome = Outcome(database.position, copies)
    expectation.judge(outcome)
    known = expectation.known(outcome.position)
    assert known is not None
    rank, digest = known
    try:
        families = content_of(database)
        if digest_of(families) != digest:
            raise Wrong(f"at {outcome.position} it holds {families}")
        if database.durable_sequence != outcome.position.sequence:
            raise Wrong(f"what it serves is durable through {database.durable_sequence} only")
        _read_log(database, outcome.position)
        legal = {outcome.position: (rank, digest)}
        fs.note("narrowed", dict(legal))
        if role == "owner":
            database.put(*EXTRA)
            families["default"][EXTRA[0]] = EXTRA[1]
            legal = {**legal, database.position: (rank + 1, digest_of(families))}
        elif (following := outcome.position.sequence + 1) in recording.frames:
            database.apply_frames(recording.frames[following])
            legal = {**legal, database.position: expectation_of(script, database.position)}
        # The crash may come before the write's acknowledgement, and then either is right.
        at = next(at for at, entry in enumerate(fs.journal) if isinstance(entry, Note))
        fs.journal[at] = Note("narrowed", legal)
        runner.run_all()
        fs.note("floor", legal[database.position][0])
        database.close()
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(f"it opens, and fails then: {error!r}") from error
    return Opened(outcome, medium, fs.journal)


def expectation_of(script: Script, position: Position) -> tuple[int, bytes]:
    rank = script.history.rank(position)
    if rank is None:
        raise Wrong(f"the next frames led to {position}, which the primary never was at")
    return rank, script.history.states[rank].digest


def _read_log(database: object, position: Position) -> None:
    """Whatever log there is leads to the position, without a gap."""
    from replicad.store.database import Database

    assert isinstance(database, Database)
    if (reached := end_of_log(database)) != position:
        raise Wrong(f"its log leads to {reached}, not to {position}")


def _position_of_copy(name: str, copy: Copy, fs: MemoryFileSystem, script: Script) -> Position | None:
    """None when there is no such copy. One that is there must be whole."""
    env = inline_env(MemoryFileSystem(fs.image()), InlineRunner(), 3)
    try:
        if (opened := copy.open(env, script.options)) is None:
            return None
        with opened:
            position, digest = opened.position, digest_of(content_of(opened))
    except Exception as error:
        raise Wrong(f"the copy {name!r} does not open: {error!r}") from error
    rank = script.history.rank(position)
    if rank is None or script.history.states[rank].digest != digest:
        raise Wrong(f"the copy {name!r} opens at {position}, and holds something else")
    return position
