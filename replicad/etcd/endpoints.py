"""In which order the endpoints are asked."""

from __future__ import annotations

from collections.abc import Sequence


class Endpoints:
    """The one that answered last is first; one that failed goes to the back."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._order = [each.rstrip("/") for each in endpoints]

    def __len__(self) -> int:
        return len(self._order)

    def in_order(self) -> tuple[str, ...]:
        return tuple(self._order)

    def answered(self, endpoint: str) -> None:
        self._order.remove(endpoint)
        self._order.insert(0, endpoint)

    def failed(self, endpoint: str) -> None:
        self._order.remove(endpoint)
        self._order.append(endpoint)
