"""docs/command-line.md has every verb, every option and every exit code, as the program has them."""

from __future__ import annotations

import typer.main

from replicad.cli import exits
from replicad.cli.health.check import EXIT_CODES
from replicad.cli.health.finding import Severity
from replicad.cli.main import app
from tests.deploy.command_line_page import PAGE, page, verbs


def test_the_page_is_what_the_program_says() -> None:
    """`python -m tests.deploy.command_line_page` writes it anew."""
    assert PAGE.read_text() == page()


def test_every_option_of_every_verb_is_explained() -> None:
    """An option without a help text would be one that nobody explains."""
    for name, command in verbs(typer.main.get_command(app)):
        for parameter in command.params:
            assert parameter.help, f"{name}: {parameter.opts}"


def test_every_exit_code_has_its_meaning() -> None:
    """The codes that the program ends with, and those of a check."""
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes == exits.MEANINGS.keys()
    for severity, code in EXIT_CODES.items():
        name = "OK" if severity is Severity.NOTE else severity.name
        assert f"\n| {code} {name} |" in PAGE.read_text()
