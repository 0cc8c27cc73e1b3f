"""Rounds of a workload on both engines, turn by turn, and their medians."""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.engines import ENGINES, Engine
from bench.report import Result
from bench.sizes import Sizes
from bench.workloads import Workload, contents

ROUNDS = 3


class Disagreement(Exception):
    """The engines gave different answers, so the times mean nothing."""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result, with the garbage collector out of the way."""
    gc.collect()
    gc.disable()
    try:
        begun = time.perf_counter()
        answer = work()
        return time.perf_counter() - begun, answer
    finally:
        gc.enable()


def measure_fresh(workload: Workload, directory: Path, sizes: Sizes) -> Result:
    """A workload that writes: an empty database for every round, compared afterwards."""
    seconds: dict[str, list[float]] = {kind.name: [] for kind in ENGINES}
    for _ in range(ROUNDS):
        held = {}
        for kind in ENGINES:
            path = Path(tempfile.mkdtemp(dir=directory)) / "db"
            engine: Engine = kind(path, sizes)
            took, _answer = timed(lambda engine=engine: workload.run(engine))  # type: ignore[misc]
            seconds[kind.name].append(took)
            held[kind.name] = contents(engine)
            engine.close()
            shutil.rmtree(path.parent)
        _agree(workload, list(held.values()))
    return _result(workload, seconds)


def measure_reading(workload: Workload, engines: list[Engine]) -> Result:
    """A workload that reads: the first round warms the caches and is not counted."""
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for round_ in range(ROUNDS + 1):
        answers = []
        for engine in engines:
            took, answer = timed(lambda engine=engine: workload.run(engine))  # type: ignore[misc]
            answers.append(answer)
            if round_:
                seconds[engine.name].append(took)
        _agree(workload, answers)
    return _result(workload, seconds)


def _agree(workload: Workload, answers: list[Any]) -> None:
    if any(answer != answers[0] for answer in answers):
        raise Disagreement(f"{workload.name}: the engines gave different answers")


def _result(workload: Workload, seconds: dict[str, list[float]]) -> Result:
    ours, theirs = (workload.count / statistics.median(seconds[kind.name]) for kind in ENGINES)
    return Result(workload.name, ours, theirs, "/s")
