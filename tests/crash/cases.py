"""A failing state, kept as one small file that opens it again: a msgpack map."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgpack

from replicad.types import Epoch, HistoryHash, Position, Sequence
from tests.crash.examine import Expectation


@dataclass(frozen=True)
class Case:
    """What was found, the story of how the state came about, and all that is needed to find it again."""

    workload: str
    seed: int
    wrong: str
    story: str
    expectation: Expectation
    image: Mapping[str, bytes]

    def save(self, directory: Path) -> Path:
        """The same case has the same name."""
        data = self.encode()
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.workload}-{hashlib.sha256(data).hexdigest()[:12]}.case"
        path.write_bytes(data)
        return path

    def encode(self) -> bytes:
        expectation = self.expectation
        states = [[_plain(position), *known] for position, known in expectation.states.items()]
        return bytes(
            msgpack.packb(
                {
                    "workload": self.workload,
                    "seed": self.seed,
                    "wrong": self.wrong,
                    "story": self.story,
                    "floor": expectation.floor,
                    "loose": expectation.loose,
                    "states": states,
                    "copies": {name: _plain(position) for name, position in expectation.copies.items()},
                    "image": dict(self.image),
                }
            )
        )


def load(path: Path) -> Case:
    fields = msgpack.unpackb(path.read_bytes())
    states = {_position(plain): (rank, digest) for plain, rank, digest in fields["states"]}
    copies = {name: _position(plain) for name, plain in fields["copies"].items()}
    return Case(
        fields["workload"],
        fields["seed"],
        fields["wrong"],
        fields["story"],
        Expectation(states, fields["floor"], copies, fields["loose"]),
        fields["image"],
    )


def _plain(position: Position) -> list[int]:
    return [position.epoch, position.sequence, position.history_hash]


def _position(plain: list[int]) -> Position:
    epoch, sequence, history_hash = plain
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash))
