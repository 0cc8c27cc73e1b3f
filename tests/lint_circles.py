"""No circle of imports, of modules or of rooms, those under TYPE_CHECKING included; no class name twice.

A room is a folder of a part (`store/wal`), or a module that stands next to such folders (`store/core`).
`make lint` runs this file.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.lint_layers import imported

Graph = dict[str, set[str]]


def modules(package: Path) -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package: Path) -> Graph:
    """Which modules of the package each one imports."""
    known = modules(package)
    graph: Graph = {name: set() for name in known}
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for _, dotted in imported(tree, path, package):
            # `from package import module` names the module, `from module import name` something within it.
            target = dotted if dotted in known else dotted.rpartition(".")[0]
            if target in known and target != name:
                graph[name].add(target)
    return graph


def rooms(graph: Graph, package: Path) -> Graph:
    """The same between rooms."""
    found: Graph = defaultdict(set)
    for name, targets in graph.items():
        found[_room(name, package)].update(_room(target, package) for target in targets)
    return {room: targets - {room} for room, targets in found.items()}


def _room(name: str, package: Path) -> str:
    parts = name.split(".")
    is_folder = (package.parent / Path(*parts)).is_dir()
    return name if len(parts) <= 3 or is_folder else ".".join(parts[:-1])


def circle(graph: Graph) -> list[str] | None:
    """One circle of those that there are."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def names_twice(package: Path) -> Iterator[str]:
    """Class names that are defined in more than one place."""
    places = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(package.parent)}:{node.lineno}")
    for name, where in places.items():
        if len(where) > 1:
            yield f"class {name} is defined twice: {', '.join(where)}"


def check(package: Path) -> list[str]:
    """Every breach, ready to be printed."""
    graph = imports(package)
    circles = {"modules": circle(graph), "rooms": circle(rooms(graph, package))}
    found = [f"a circle of {what}: {' -> '.join(names)}" for what, names in circles.items() if names]
    return [*found, *names_twice(package)]


def main() -> int:
    breaches = check(Path(__file__).resolve().parent.parent / "replicad")
    for breach in breaches:
        print(breach, file=sys.stderr)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
