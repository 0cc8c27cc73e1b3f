"""The OPTIONS file: TOML that a database writes for people to read."""

from __future__ import annotations

import tomllib

from replicad.cli.explain.explanation import Damage, Explanation


def explain_options(data: bytes) -> Explanation:
    explained = Explanation("OPTIONS", len(data))
    try:
        explained.header = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        explained.damage = Damage(0, f"not TOML: {error}")
    return explained
