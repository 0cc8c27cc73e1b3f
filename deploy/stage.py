"""Stages what `make install` puts beside the program: its starter, the units and the example configs.

The templates under `deploy/` hold @BINDIR@ and @CONFDIR@; everything is written under --destdir, as the
paths will be once the tree is moved to its machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent

STARTER = """\
#!{interpreter} -I
# replicad, run from its own private directory of libraries.
import sys

sys.path.insert(0, {library!r})

from replicad.cli.main import main

sys.exit(main())
"""


def base_interpreter() -> str:
    """The interpreter that a virtual environment was made from: the one that outlives this checkout."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def install(destination: Path, text: str, mode: int = 0o644) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_text(text, encoding="utf-8")
    destination.chmod(mode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--destdir", default="")
    for name in ("prefix", "sysconfdir", "unitdir", "sysusersdir"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()

    def staged(*parts: str) -> Path:
        return Path("/".join((arguments.destdir + parts[0], *parts[1:])))

    def template(path: Path) -> str:
        text = path.read_text(encoding="utf-8")
        text = text.replace("@BINDIR@", f"{arguments.prefix}/bin")
        return text.replace("@CONFDIR@", f"{arguments.sysconfdir}/replicad")

    library = f"{arguments.prefix}/lib/replicad"
    starter = STARTER.format(interpreter=base_interpreter(), library=library)
    install(staged(arguments.prefix, "bin", "replicad"), starter, 0o755)
    for unit in sorted((*(DEPLOY / "systemd").glob("*.service"), *(DEPLOY / "systemd").glob("*.timer"))):
        install(staged(arguments.unitdir, unit.name), template(unit))
    install(staged(arguments.sysusersdir, "replicad.conf"), template(DEPLOY / "systemd" / "sysusers.conf"))
    for example in sorted((DEPLOY / "config").glob("*.toml")):
        # An example beside the live file, so that an upgrade never overwrites a configuration.
        install(staged(arguments.sysconfdir, "replicad", f"{example.name}.example"), template(example))


if __name__ == "__main__":
    main()
