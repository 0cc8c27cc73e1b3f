"""One target's share of a run; it is read in a process of its own."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from tests.fuzz import login, native
from tests.fuzz.corpus import corpus_of, keep
from tests.fuzz.readers import READERS
from tests.fuzz.search import search


@dataclass(frozen=True)
class Share:
    """One target, and how long it is fuzzed."""

    target: str
    seconds: float
    seed: int


def fuzz(share: Share) -> native.Ran:
    if share.target in native.TARGETS:
        return native.run(share.target, seconds=share.seconds, seed=share.seed)
    if share.target == login.TARGET:
        found = login.search_streams(seconds=share.seconds, first_seed=share.seed)
    else:
        corpus = corpus_of(share.target)
        found = search(READERS[share.target], corpus, seconds=share.seconds, first_seed=share.seed)
    if found.failing is None or found.error is None:
        return native.Ran(found.inputs, None, "")
    report = "".join(traceback.format_exception(found.error))
    return native.Ran(found.inputs, keep(share.target, found.failing), report)
