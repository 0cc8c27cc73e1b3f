"""A row of numbers as a row of marks."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-~=+*#"
"""For a terminal that does not speak UTF-8."""


def sparkline(
    values: Sequence[float | None],
    width: int,
    *,
    lowest: float | None = None,
    highest: float = 0.0,
    marks: str = BLOCKS,
) -> str:
    """The last `width` values, the newest on the right; a space where a value is not known.

    The highest mark is the highest value shown, and at least `highest`. The lowest mark is `lowest`, or the
    lowest value shown.

    >>> sparkline([0, 1, None, 3.5, 7], 6, lowest=0)
    ' ▁▂ ▅█'
    """
    shown = list(values)[-width:] if width > 0 else []
    known = [value for value in shown if value is not None]
    bottom = min(known, default=0.0) if lowest is None else lowest
    top = max([highest, *known])

    def mark(value: float | None) -> str:
        if value is None:
            return " "
        share = (value - bottom) / (top - bottom) if top > bottom else 0.0
        return marks[round(max(0.0, share) * (len(marks) - 1))]

    return "".join(map(mark, shown)).rjust(width)
