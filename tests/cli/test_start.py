"""Ctrl-C at every stage of the program's start."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
how, wanted = sys.argv[1], int(sys.argv[2])
count = 0

class Interrupting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        global count
        count += 1
        if count == wanted and how == "raised":
            raise KeyboardInterrupt
        if count == wanted:
            os.kill(os.getpid(), signal.SIGINT)

import replicad.cli.start
sys.argv = ["replicad", "status", ":1"]
sys.meta_path.insert(0, Interrupting)
code = replicad.cli.start.start()
sys.exit(code if count >= wanted else 99)
"""


@pytest.mark.parametrize("how", ["raised", "signal"])
@pytest.mark.parametrize("nth", [1, 2, 3, 17, 60, 120, 180, 220, 240, 250])
def test_ctrl_c_while_it_loads_ends_it_without_a_word(how: str, nth: int) -> None:
    """At the n-th module that is looked for, as an exception there or as a signal: 130, and no traceback."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, str(nth)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_package_itself_loads_nothing() -> None:
    """Before the program has Ctrl-C in hand no other module of ours is there."""
    probe = (
        "import sys; import replicad.cli.start;"
        "print(*sorted(name for name in sys.modules if name.startswith('replicad')))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["replicad", "replicad.cli", "replicad.cli.start"]


def test_public_names_are_there_when_they_are_used() -> None:
    """By attribute, by import, by star, and in dir(); a name that is not is an AttributeError."""
    probe = (
        "import replicad; assert 'Database' in dir(replicad); assert callable(replicad.open);"
        "assert replicad.errors.ReplicadError is replicad.ReplicadError;"
        "from replicad import *; assert Options is replicad.Options; assert not hasattr(replicad, 'nothing');"
        "import replicad.library as library;"
        "assert {*library.__all__, '__version__'} == set(replicad.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
