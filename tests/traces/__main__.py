"""`python -m tests.traces` writes every golden trace anew; the change is reviewed as a diff."""

from __future__ import annotations

from tests.traces.every import TRACES, golden
from tests.traces.trace import trace


def main() -> None:
    for name, play in TRACES.items():
        golden(name).write_text(trace(play()))


if __name__ == "__main__":
    main()
