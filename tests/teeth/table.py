"""The table of `tests/teeth/README.md`: trap, mutation, and the test that catches it."""

from __future__ import annotations

from collections.abc import Iterable

from tests.teeth.mutation import TRAPS, Mutation

BEGIN = "<!-- teeth: made by `python -m tests.teeth --table` -->\n"
END = "<!-- end of teeth -->\n"


def table(mutations: Iterable[Mutation]) -> str:
    """Markdown, sorted by trap."""
    rows = ["| trap | mutation | caught by |", "|---|---|---|"]
    told = None
    for mutation in sorted(mutations, key=lambda mutation: mutation.trap):
        trap = "" if mutation.trap == told else f"{mutation.trap}. {TRAPS[mutation.trap]}"
        told = mutation.trap
        tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in mutation.caught_by)
        rows.append(f"| {trap} | {mutation.name} | {tests} |")
    return "\n".join(rows) + "\n"


def table_in(readme: str) -> str:
    """What the README has between its marks."""
    return readme.split(BEGIN)[1].split(END)[0]


def with_table(readme: str, mutations: Iterable[Mutation]) -> str:
    """The README with the table of these."""
    before, rest = readme.split(BEGIN)
    return before + BEGIN + table(mutations) + END + rest.split(END)[1]
