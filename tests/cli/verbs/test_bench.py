"""`replicad bench` measures and cleans up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def test_every_measurement_is_compared_with_the_bare_disk(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Every measurement is compared with the bare disk, and nothing stays behind."""
    code, out, _ = run("bench", tmp_path, "--seconds", 0.1, "--json")
    rows = json.loads(out)
    assert code == 0
    assert rows[0]["ratio"] == 1.0
    assert all(row["per_second"] > 0 for row in rows)
    assert not list(tmp_path.iterdir())
