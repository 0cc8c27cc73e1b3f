"""Results, as lines of a table: what each engine gave, and the ratio."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 34


@dataclass(frozen=True, slots=True)
class Result:
    """A figure of each engine, medians of the rounds. `unit` follows the number: "/s", " ms"."""

    name: str
    ours: float
    theirs: float
    unit: str
    less_is_better: bool = False

    @property
    def ratio(self) -> float:
        """Above 1, replicad is better; 0 where there is nothing to divide by."""
        above, below = (self.theirs, self.ours) if self.less_is_better else (self.ours, self.theirs)
        return above / below if below else 0.0


def heading(title: str, other: str = "rocksdict") -> None:
    """`other` is what replicad is compared with."""
    print(f"\n{title:{WIDTH}}{'replicad':>14}{other:>14}{'ratio':>8}", flush=True)


def show(result: Result) -> None:
    ours, theirs = (_figure(value) + result.unit for value in (result.ours, result.theirs))
    print(f"{result.name:{WIDTH}}{ours:>14}{theirs:>14}{result.ratio:>8.2f}", flush=True)


def note(text: str) -> None:
    """A line of circumstances below what it explains."""
    print(f"  {text}", flush=True)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"
