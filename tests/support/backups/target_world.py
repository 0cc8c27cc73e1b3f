"""A target that several actors use at once, one request at a time, in an order that a seed decides.

Each actor is a thread that waits before each request until it is let on; so every pause between any two steps
of anybody is tried, and a run with its seed is the same again. Requests may fail and arrive all the same, at
any later moment; actors may die; the target's clock may jump on by days, so that everybody seems dead.
"""

from __future__ import annotations

import builtins
import random
import threading
from collections.abc import Callable, Iterable

from replicad.env.filesystem import Bytes
from replicad.errors import NotFoundError

DAY_SECONDS = 24 * 3600.0


class Died(BaseException):
    """The actor's process is gone: nothing that it does has an effect any more."""


class Actor:
    """One process somewhere. Satisfies `DatingTarget` for its own work."""

    def __init__(self, world: World, name: str, work: Callable[[Actor], None]) -> None:
        self.url = "a target that many use"
        self.name = name
        self.done = False
        self._dead = False
        self._world = world
        self._work = work
        self._may = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._waits.acquire()

    def _run(self) -> None:
        self._pause()
        try:
            self._work(self)
        except Died:
            pass
        finally:
            self.done = True
            self._waits.release()

    def _pause(self) -> None:
        self._waits.release()
        self._may.acquire()

    def go_on(self) -> None:
        """Through one request."""
        self._may.release()
        self._waits.acquire()

    def run(self, requests: int | None = None) -> int:
        """Lets it through so many requests, or to its end; how many it made."""
        count = 0
        while not self.done and (requests is None or count < requests):
            self.go_on()
            count += 1
        return count

    def die(self) -> None:
        self._dead = True
        self.run()

    def _request(self, *what: object) -> None:
        if not self._dead:
            self._pause()
            self._dead = self._dead or self._world.chance(0.004)
        if self._dead:
            raise Died
        self._world.trace.append((self.name, *what))

    def _change(self, name: str, effect: Callable[[], None]) -> None:
        """Now; or it fails here, and arrives whenever it likes."""
        if self._world.chance(0.01) or self._world.is_slow(name):
            self._world.late.append(effect)
            raise TimeoutError("the request took too long")
        effect()

    def list(self, prefix: str) -> dict[str, int]:
        self._request("list", prefix)
        return {n: len(data) for n, data in sorted(self._world.objects.items()) if n.startswith(prefix)}

    def size(self, name: str) -> int | None:
        self._request("size", name)
        return len(self._world.objects[name]) if name in self._world.objects else None

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self._request("read", name)
        if name not in self._world.objects:
            raise NotFoundError(f"there is no {name}")
        data = self._world.objects[name]
        return data[offset:] if length is None else data[offset : offset + length]

    def write(self, name: str, chunks: Iterable[Bytes]) -> None:
        data = b"".join(bytes(chunk) for chunk in chunks)
        self._request("write", name)
        self._change(name, lambda: self._world.put(name, data))

    def delete(self, names: Iterable[str]) -> None:
        for name in list(names):
            self._request("delete", name)
            self._change(name, lambda name=name: self._world.remove(name))  # type: ignore[misc]

    def remove_unfinished(self, age_seconds: float) -> int:
        return 0

    def ages_seconds(self, names: Iterable[str]) -> dict[str, float]:
        self._request("ages")
        now, written = self._world.now, self._world.written
        return {name: now - written[name] for name in names if name in written}


class World:
    """What is at the target, and who uses it."""

    def __init__(self, seed: int) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: dict[str, float] = {}
        self.now = 0.0
        self.late: list[Callable[[], None]] = []
        self.trace: list[tuple[object, ...]] = []
        self.random = random.Random(seed)
        self.calm = False
        self.is_slow: Callable[[str], bool] = lambda name: False
        """Whether a change of that name fails now and arrives later."""

    def chance(self, probability: float) -> bool:
        return not self.calm and self.random.random() < probability

    def bytes(self, count: int) -> builtins.bytes:
        """As `env`'s randomness, like `uniform`."""
        return self.random.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def put(self, name: str, data: builtins.bytes) -> None:
        self.objects[name] = data
        self.written[name] = self.now

    def remove(self, name: str) -> None:
        self.objects.pop(name, None)
        self.written.pop(name, None)

    def run(self, actors: list[Actor]) -> None:
        """Until all have ended and all that was late has arrived. Somebody is often let on for a while."""
        favourite = actors[0]
        while waiting := [actor for actor in actors if not actor.done]:
            if self.chance(0.05):
                self.now += self.random.choice([1.0, 2 * DAY_SECONDS])
            if self.late and self.chance(0.02):
                self.late.pop(self.random.randrange(len(self.late)))()
            if favourite.done or self.chance(0.1):
                favourite = self.random.choice(waiting)
            favourite.go_on()
        self.random.shuffle(self.late)
        self.arrive()

    def arrive(self) -> None:
        """What was late."""
        for effect in self.late:
            effect()
        self.late.clear()
