"""Jobs on several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from replicad.env import Env

T = TypeVar("T")


def run_all(env: Env, workers: int, jobs: Iterable[Callable[[], T]]) -> list[T]:
    """What each job returned, in order. After the first failure no further job begins; it is raised when
    those that run have ended."""
    numbered = list(enumerate(jobs))
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    waiting = iter(numbered)
    lock = threading.Lock()

    def work() -> None:
        while not failures:
            with lock:
                found = next(waiting, None)
            if found is None:
                return
            number, job = found
            try:
                results[number] = job()
            except BaseException as error:
                failures.append(error)

    count = min(workers, len(numbered))
    if count <= 1:
        work()
    else:
        lanes = [env.runner.lane(f"backup-{number}") for number in range(count)]
        try:
            for lane in lanes:
                lane.submit(work)
            for lane in lanes:
                lane.close()
        except BaseException as error:
            failures.append(error)
            for lane in lanes:
                lane.close()
    if failures:
        raise failures[0]
    return [results[number] for number, _ in numbered]
