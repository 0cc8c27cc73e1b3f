"""Looks for an input that a reader fails on: changes to the corpus, chosen and made small by hypothesis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.readers import Reader

EXAMPLES = 100
"""In one round; the clock is looked at between rounds."""

_INTERESTING = [
    b"",
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80" * 5,
    b"\xff" * 4,
    b"\xff" * 8,
    b"\0" * 8,
    b"\r\n",
    b"[" * 2000,
]


@dataclass
class Found:
    """How many inputs were read, and the smallest that failed with how it failed."""

    inputs: int = 0
    failing: bytes | None = None
    error: BaseException | None = None


@st.composite
def inputs(draw: st.DrawFn, corpus: Sequence[bytes]) -> bytes:
    """A seed with a few stretches of it replaced, moved or doubled; or anything."""
    if not corpus or draw(st.integers(0, 15)) == 0:
        return draw(st.binary(max_size=300))
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([0, 1, 1, 1, 2, 4, 8, 64])))
        other = draw(st.sampled_from(corpus))
        take = draw(st.integers(0, len(other)))
        piece = draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from(_INTERESTING),
                st.just(data[at : at + 16]),
                st.just(other[take : take + 32]),
            )
        )
        data = data[:at] + piece + data[end:]
    return data


def search(
    reader: Reader, corpus: Sequence[bytes], *, seconds: float, first_seed: int, rounds: int | None = None
) -> Found:
    """Reads the corpus, then changes of it until the time is over, or so many rounds, or an input fails."""
    found = Found()
    until = time.monotonic() + seconds

    def read(data: bytes) -> None:
        found.inputs += 1
        try:
            reader.run(data)
        except Exception as error:
            found.failing, found.error = data, error
            raise

    try:
        for data in corpus:
            read(data)
        number = first_seed
        while time.monotonic() < until and (rounds is None or number < first_seed + rounds):
            _round(read, corpus, number)
            number += 1
    except Exception as error:
        if found.error is None:
            raise AssertionError("the search itself failed") from error
    return found


def _round(read: object, corpus: Sequence[bytes], number: int) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(inputs(corpus))
    def try_one(data: bytes) -> None:
        read(data)  # type: ignore[operator]

    try_one()
