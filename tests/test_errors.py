"""Every exception of the package goes through pickle and copy as it is."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import replicad
from replicad.errors import (
    ConditionFailed,
    CorruptionError,
    LogGoneError,
    NotKnownYet,
    OutputError,
    ReplicadError,
)

SAMPLES: list[ReplicadError] = [
    CorruptionError("reason", path="/a/b", offset=7, expected=1, got=2),
    LogGoneError(5, 10),
    ConditionFailed(b"k", expected=b"1", got=None, sequence=9),
    OutputError(OSError(28, "No space left on device")),
    NotKnownYet(9, known_us=2_000_000, marked_us=None),
]


def everywhere() -> Iterator[type[ReplicadError]]:
    """All classes of errors that the package has."""
    for module in pkgutil.walk_packages(replicad.__path__, "replicad."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting: list[type[ReplicadError]] = [ReplicadError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        yield kind


def made(kind: type[ReplicadError]) -> ReplicadError:
    """One of this class, with a plain text for every argument that it wants."""
    known = [sample for sample in SAMPLES if type(sample) is kind]
    if known:
        return known[0]
    wanted = [
        parameter
        for parameter in inspect.signature(kind.__init__).parameters.values()
        if parameter.default is parameter.empty and parameter.name != "self"
    ]
    positional = [p.name for p in wanted if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keywords = {p.name: p.name for p in wanted if p.kind is p.KEYWORD_ONLY}
    return kind(*(positional or ["said"]), **keywords)


def qualified_name(kind: type[ReplicadError]) -> str:
    return kind.__qualname__


KINDS: list[type[ReplicadError]] = sorted(set(everywhere()), key=qualified_name)


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_as_it_was(kind: type[ReplicadError]) -> None:
    """The same class, the same text and the same attributes, by pickle, copy and deepcopy."""
    error = made(kind)
    error.__dict__["noted"] = "by a caller"
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_batch_can_be_pickled() -> None:
    """A process pool may make batches."""
    batch = replicad.WriteBatch()
    batch.put(b"k", b"v")
    batch.put_log_data(b"annotation")
    again = pickle.loads(pickle.dumps(batch))
    assert (type(again), again.data) == (replicad.WriteBatch, batch.data)
