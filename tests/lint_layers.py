"""Holds the order of the layers: an import goes down the list only, and some doors have one owner.

    cli > daemon > server > (the public names) > replication | backup | feed > store | state > kernels
        > etcd > net > env > options > types > units > errors > version

A part may import itself and what stands below it; `|` parts those that may not import each other. `make lint`
runs this file.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("daemon",),
    ("server",),
    ("__init__",),
    ("library",),
    ("replication", "backup", "feed"),
    ("store", "state"),
    ("kernels",),
    ("etcd",),
    ("net",),
    ("env",),
    ("options",),
    ("types",),
    ("units",),
    ("errors",),
    ("version",),
)
"""Top to bottom. `__init__` is the package itself: its public names, which `library` has and the parts below
do not use."""

OWNERS: dict[str, frozenset[str]] = {
    "lmdb": frozenset({"state"}),
    "uvloop": frozenset({"daemon"}),
    "aiohttp": frozenset({"server", "etcd"}),
    "typer": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
}
"""Libraries that only these parts may import."""

PURE = frozenset({"store", "replication", "backup"})
"""Parts that reach disk, clocks and randomness only through an injected `env`."""

FORBIDDEN_MODULES = frozenset({"time", "random", "secrets", "uuid", "tempfile", "shutil", "mmap", "fcntl"})
FORBIDDEN_OS = re.compile(
    "open|fdopen|p?read|p?write|f?sync|fdatasync|rename|replace|link|symlink|unlink|remove|mkdir|makedirs|rmdir"
    "|removedirs|listdir|scandir|walk|l?stat|f?truncate|urandom|posix_f.*|sendfile|copy_file_range|utime|chmod"
)
FORBIDDEN_METHODS = re.compile("(read|write)_(bytes|text)|touch|iterdir")

DOORS = frozenset(
    {
        *("create_server", "create_unix_server", "start_server", "start_unix_server"),
        *("create_connection", "create_unix_connection", "open_connection", "open_unix_connection"),
        *("connect_accepted_socket", "start_tls"),
    }
)
"""Calls that open a connection or listen: only `net` has them, so that TLS and limits are in one place."""

_RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def part_of(path: Path, package: Path) -> str:
    """The part a file belongs to: its folder under the package, or its own name at the root."""
    relative = path.relative_to(package)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(tree: ast.AST, path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Every dotted name that a file imports, relative ones made absolute, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                folder = path.relative_to(package.parent).parent.parts
                folder = folder[: len(folder) - node.level + 1]
                base = ".".join((*folder, base)) if base else ".".join(folder)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def forbidden_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls that reach the machine without `env`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name("open"):
                yield node.lineno, "open()"
            case ast.Attribute(ast.Name("os"), name) if FORBIDDEN_OS.fullmatch(name):
                yield node.lineno, f"os.{name}()"
            case ast.Attribute(_, name) if FORBIDDEN_METHODS.fullmatch(name):
                yield node.lineno, f".{name}()"


def doors(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls that open a connection, or listen for some."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DOORS:
            yield node.lineno, node.func.attr


def check_file(path: Path, package: Path) -> Iterator[str]:
    """One line for each import or call that the order forbids."""
    part = part_of(path, package)
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    if part not in _RANK:
        yield f"{path}:1: {part!r} has no place in the order of the layers"
        return
    for line, name in imported(tree, path, package):
        root, *rest = name.split(".")
        if root in OWNERS and part not in OWNERS[root]:
            yield f"{path}:{line}: only {', '.join(sorted(OWNERS[root]))} may import {root}"
        if part in PURE and root in FORBIDDEN_MODULES:
            yield f"{path}:{line}: {part} imports {root}; disk, clocks and randomness come through env"
        if root != package.name:
            continue
        target = rest[0] if rest and rest[0] in _RANK else "__init__"
        if target != part and _RANK[target] <= _RANK[part]:
            yield f"{path}:{line}: {part} may not import {target}, which stands above or beside it"
    if part != "net":
        for line, call in doors(tree):
            yield f"{path}:{line}: {part} calls {call}; connections and ports are opened by net"
    if part in PURE:
        for line, call in forbidden_calls(tree):
            yield f"{path}:{line}: {part} calls {call}; disk, clocks and randomness come through env"


def check(package: Path) -> list[str]:
    """Every breach under a package directory, in the order of the files."""
    found = (breach for path in sorted(package.rglob("*.py")) for breach in check_file(path, package))
    return list(dict.fromkeys(found))  # One statement may import several names.


def main() -> int:
    breaches = check(Path(__file__).resolve().parent.parent / "replicad")
    for breach in breaches:
        print(breach, file=sys.stderr)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
