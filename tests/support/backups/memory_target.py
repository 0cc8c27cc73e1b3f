"""A backup target in memory, which fails when a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from replicad.env.filesystem import Bytes
from replicad.errors import NotFoundError


class MemoryTarget:
    """`on_call` is called with the name of the method and of the object first, and may raise."""

    url = "a target in memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.on_call: Callable[[str, str], None] = lambda method, name: None

    def list(self, prefix: str) -> dict[str, int]:
        self.on_call("list", prefix)
        return {name: len(data) for name, data in sorted(self.objects.items()) if name.startswith(prefix)}

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self.on_call("read", name)
        if name not in self.objects:
            raise NotFoundError(f"{self.url} holds no {name}")
        data = self.objects[name]
        return data[offset:] if length is None else data[offset : offset + length]

    def write(self, name: str, chunks: Iterable[Bytes]) -> None:
        self.on_call("write", name)
        self.objects[name] = b"".join(bytes(chunk) for chunk in chunks)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            self.on_call("delete", name)
            self.objects.pop(name, None)

    def size(self, name: str) -> int | None:
        self.on_call("size", name)
        return len(self.objects[name]) if name in self.objects else None

    def remove_unfinished(self, age_seconds: float) -> int:
        return 0
