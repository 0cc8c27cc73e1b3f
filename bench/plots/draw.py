"""`python -m bench.plots.draw RESULTS.json DIRECTORY`: a PNG for each curve that was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.plots.panels import Panel, panels

INCHES = (6.0, 4.5)
"""Of one panel."""


def draw(document: dict[str, Any], directory: Path) -> list[Path]:
    """The files made."""
    made = []
    for name, side_by_side in panels(document).items():
        path = directory / f"{name}.png"
        _save(side_by_side, path, footnote=", ".join(document["versions"]))
        made.append(path)
    return made


def _save(side_by_side: list[Panel], path: Path, *, footnote: str) -> None:
    figure = Figure(figsize=(INCHES[0] * len(side_by_side), INCHES[1]), layout="constrained")
    FigureCanvasAgg(figure)
    for place, panel in enumerate(side_by_side, 1):
        axes = figure.add_subplot(1, len(side_by_side), place)
        for line in panel.lines:
            if line.is_limit:
                axes.plot(line.xs, line.ys, linestyle="--", color="grey")
            else:
                axes.plot(line.xs, line.ys, marker="o")
            axes.annotate(line.label, (line.xs[-1], line.ys[-1]), ha="right", va="bottom", fontsize=8)
        axes.set_xscale("linear" if panel.x_is_linear else "log")
        axes.set_yscale("log")
        axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
        axes.grid(visible=True, which="major", alpha=0.3)
    figure.supxlabel(footnote, fontsize=7)
    figure.savefig(path, dpi=100)


def main() -> None:
    source, directory = Path(sys.argv[1]), Path(sys.argv[2])
    for path in draw(json.loads(source.read_text()), directory):
        print(path)


if __name__ == "__main__":
    main()
