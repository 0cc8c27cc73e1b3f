"""Stages what `make install` puts beside the program: its starter, the units, the examples, the documents.

The templates under `deploy/` hold @BINDIR@ and @CONFDIR@; everything is written under --destdir, as the
paths will be once the tree is moved to its machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent

HIDDEN = tuple(Path(path) for path in ("/home", "/root", "/run/user"))
"""What ProtectHome hides from the units."""

MAIN = """\
import sys

sys.path.insert(0, {library!r})

from replicad.cli.main import main

sys.exit(main())
"""
STARTER = """\
#!{interpreter} -I
# replicad, run from its own private directory of libraries.
"""
BUNDLED_STARTER = """\
#!/bin/sh
# replicad, run from its own private directory of libraries, by an interpreter of its own.
LD_LIBRARY_PATH={python}/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec {python}/bin/{name} -I {main} "$@"
"""
ALONE = (
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
    *("bench/README.md", "tests/README.md", "tests/teeth/README.md"),
)
"""Documents that lie beside the folders of documents, and those that pages link to."""

MADE = "made-directories"
"""In the private directory: the directories that were not there before the first installation."""

LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "site-packages", "test", "tests", "idlelib", "tkinter", "config-*"
)


def base_interpreter() -> str:
    """The interpreter that a virtual environment was made from: the one that outlives this checkout."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def is_hidden(interpreter: str) -> bool:
    """Whether the units could not start it, nor anybody but its owner perhaps."""
    path = Path(interpreter)
    return any(path.is_relative_to(directory) for directory in HIDDEN)


def bundle(interpreter: str, destination: Path) -> None:
    """Copies the interpreter with its standard library, and no packages."""
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.rmtree(destination, ignore_errors=True)
    (destination / "bin").mkdir(parents=True)
    shutil.copy2(interpreter, destination / "bin" / version)
    shutil.copytree(base / "lib" / version, destination / "lib" / version, ignore=LEFT_OUT)
    for library in sorted((base / "lib").glob("libpython*.so*")):
        shutil.copy2(library, destination / "lib" / library.name)


def install(destination: Path, text: str, mode: int = 0o644) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_text(text, encoding="utf-8")
    destination.chmod(mode)


def units() -> list[Path]:
    return sorted((*(DEPLOY / "systemd").glob("*.service"), *(DEPLOY / "systemd").glob("*.timer")))


def examples() -> list[Path]:
    return sorted((DEPLOY / "config").glob("*.toml"))


def documents() -> list[Path]:
    """What an operator reads on a machine without a network, by their places in the repository: the pages
    name each other, and `replicad status` names them, by these paths."""
    root = DEPLOY.parent
    pages = [*root.glob("docs/**/*.md"), *root.glob("proto/*.md"), *map(root.joinpath, ALONE)]
    return sorted(page.relative_to(root) for page in pages)


def remove(path: Path) -> None:
    """A file, or a directory of ours; nothing where there is none."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Directories:
    """Those that things are put into, by their paths on the machine. Only those that we made are removed,
    when they are empty: an empty one that was there before may be somebody's."""

    def __init__(self, destdir: str, prefix: str, library: str) -> None:
        self._destdir = destdir
        self._prefix = Path(prefix)
        self._library = library

    def begin(self, wanted: list[str]) -> None:
        """Replaces the private directory by an empty one and makes the others. An installation over another
        one keeps what that one wrote down."""
        made = self._read()
        remove(self._staged(self._library))
        for path in (self._library, *wanted):
            for each in (*reversed(Path(path).parents), Path(path)):
                if not self._staged(str(each)).exists():
                    self._staged(str(each)).mkdir(parents=True)
                    made.add(str(each))
        install(self._staged(self._library) / MADE, "".join(f"{path}\n" for path in sorted(made)))

    def end(self, ours: list[str]) -> None:
        """Removes the private directory, and each that was made, or is of `ours`, and is empty by now."""
        candidates = {Path(path) for path in (*self._read(), *ours)}
        remove(self._staged(self._library))
        for path in sorted(candidates, key=lambda path: len(path.parts), reverse=True):
            # The roots belong to whoever named them.
            if not self._prefix.is_relative_to(path):
                with contextlib.suppress(OSError):
                    self._staged(str(path)).rmdir()

    def _read(self) -> set[str]:
        try:
            return set((self._staged(self._library) / MADE).read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return set()

    def _staged(self, path: str) -> Path:
        return Path(self._destdir + path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--destdir", default="")
    for name in ("prefix", "sysconfdir", "unitdir", "sysusersdir", "tmpfilesdir"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument(
        "--begin", action="store_true", help="make the directories, before the libraries come"
    )
    parser.add_argument("--remove", action="store_true", help="remove what was put there, and nothing else")
    arguments = parser.parse_args()

    def staged(*parts: str) -> Path:
        return Path("/".join((arguments.destdir + parts[0], *parts[1:])))

    def template(path: Path) -> str:
        text = path.read_text(encoding="utf-8")
        text = text.replace("@BINDIR@", f"{arguments.prefix}/bin")
        return text.replace("@CONFDIR@", f"{arguments.sysconfdir}/replicad")

    library = f"{arguments.prefix}/lib/replicad"
    directories = Directories(arguments.destdir, arguments.prefix, library)
    configurations = f"{arguments.sysconfdir}/replicad"
    if arguments.begin:
        own = [f"{arguments.prefix}/bin", f"{arguments.prefix}/share/doc", configurations]
        directories.begin([*own, arguments.unitdir, arguments.sysusersdir, arguments.tmpfilesdir])
        return
    if arguments.remove:
        remove(staged(arguments.prefix, "bin", "replicad"))
        remove(staged(arguments.prefix, "share/doc/replicad"))
        for unit in units():
            remove(staged(arguments.unitdir, unit.name))
        remove(staged(arguments.sysusersdir, "replicad.conf"))
        remove(staged(arguments.tmpfilesdir, "replicad.conf"))
        for example in examples():
            remove(staged(arguments.sysconfdir, "replicad", f"{example.name}.example"))
        directories.end([configurations])
        return

    interpreter, main_program = base_interpreter(), MAIN.format(library=library)
    if is_hidden(interpreter):
        # ProtectHome hides it from the units; it may also go away with its owner.
        python, main_path = f"{library}/python", f"{library}/replicad-main.py"
        bundle(interpreter, staged(python))
        install(staged(main_path), main_program)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        starter = BUNDLED_STARTER.format(python=python, name=version, main=main_path)
    else:
        starter = STARTER.format(interpreter=interpreter) + main_program
    install(staged(arguments.prefix, "bin", "replicad"), starter, 0o755)
    remove(staged(arguments.prefix, "share/doc/replicad"))
    for document in documents():
        text = (DEPLOY.parent / document).read_text(encoding="utf-8")
        install(staged(arguments.prefix, "share/doc/replicad", str(document)), text)
    for unit in units():
        install(staged(arguments.unitdir, unit.name), template(unit))
    install(staged(arguments.sysusersdir, "replicad.conf"), template(DEPLOY / "systemd" / "sysusers.conf"))
    install(staged(arguments.tmpfilesdir, "replicad.conf"), template(DEPLOY / "systemd" / "tmpfiles.conf"))
    for example in examples():
        # An example beside the live file, so that an upgrade never overwrites a configuration.
        install(staged(arguments.sysconfdir, "replicad", f"{example.name}.example"), template(example))


if __name__ == "__main__":
    main()
