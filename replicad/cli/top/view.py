"""The live view: asks the nodes, keeps their histories, and draws the next picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from replicad.cli.health.finding import Thresholds
from replicad.cli.health.judge import find_all
from replicad.cli.nodes.ask import NodeAnswer
from replicad.cli.terminal import Line
from replicad.cli.top.frame import frame_lines
from replicad.cli.top.history import History, extended, reading


class LiveView:
    def __init__(self, ask: Callable[[], Sequence[NodeAnswer]], *, marks: str) -> None:
        self._ask = ask
        self._marks = marks
        self._histories: dict[int, History] = {}

    def next_frame(self, width: int) -> list[Line]:
        """Asks all nodes once; raises what `ask` raises."""
        answers = self._ask()
        now = time.monotonic()
        for index, answer in enumerate(answers):
            document = None if answer.is_directory else answer.document
            self._histories[index] = extended(self._histories.get(index, ()), reading(document, now))
        return frame_lines(
            answers,
            find_all(answers, Thresholds()),
            self._histories,
            time=f"{datetime.now(UTC):%H:%M:%SZ}",
            width=width,
            marks=self._marks,
        )
