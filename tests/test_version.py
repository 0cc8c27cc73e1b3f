"""The version: written in one place, and the same everywhere."""

from __future__ import annotations

from importlib import metadata

from typer.testing import CliRunner

import replicad
from replicad.cli.main import app
from replicad.replication.wire.identify import SOFTWARE


def test_everybody_says_the_version_that_was_built() -> None:
    """What the build read is what the package, a node's HELLO and the command line say."""
    built = metadata.version("replicad")
    said = CliRunner().invoke(app, ["--version"]).stdout
    assert (replicad.__version__, SOFTWARE, said) == (built, f"replicad/{built}", f"replicad {built}\n")
