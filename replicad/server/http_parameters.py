"""What a check over HTTP is asked for: the parameters of `/replica`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import get_args

from replicad.server.health import LagKind

LAG_KINDS: tuple[LagKind, ...] = get_args(LagKind)
LAG_KIND: LagKind = "staleness"
"""What a limit means that does not say: how old a read may be."""
_SEQUENCES = re.compile(r"[0-9]{1,20}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_RIGHT = (
    "right are max_lag=NUMBER with lag_kind=" + "|".join(LAG_KINDS) + ", lag=SEQUENCES and staleness=SECONDS"
)


class WrongParameter(Exception):
    """Says what is wrong, and what would be right."""


def read_lag_limits(pairs: Iterable[tuple[str, str]]) -> dict[LagKind, float]:
    """`max_lag` with `lag_kind`; in short `lag` (sequences) or `staleness`. Raises WrongParameter."""
    query: dict[str, str] = {}
    for name, value in pairs:
        if name not in ("max_lag", "lag_kind", "lag", "staleness"):
            raise WrongParameter(f"{name[:32]!r} is not a parameter; {_RIGHT}")
        if name in query:
            raise WrongParameter(f"{name} stands twice; {_RIGHT}")
        query[name] = value

    limits: dict[LagKind, float] = {}
    if "max_lag" in query:
        kind = _kind(query.get("lag_kind", LAG_KIND))
        limits[kind] = _limit("max_lag", query["max_lag"], kind)
    elif "lag_kind" in query:
        raise WrongParameter(f"lag_kind says nothing without max_lag; {_RIGHT}")
    if "lag" in query:
        limits["sequences"] = _limit("lag", query["lag"], "sequences")
    if "staleness" in query:
        limits["staleness"] = _limit("staleness", query["staleness"], "staleness")
    return limits


def check_none(pairs: Iterable[tuple[str, str]]) -> None:
    """Raises WrongParameter for any."""
    for name, _ in pairs:
        raise WrongParameter(f"{name[:32]!r} is not a parameter; this path takes none")


def _kind(text: str) -> LagKind:
    for kind in LAG_KINDS:
        if text == kind:
            return kind
    raise WrongParameter(f"lag_kind={text[:32]!r}; right are {', '.join(LAG_KINDS)}")


def _limit(name: str, text: str, kind: LagKind) -> float:
    if kind == "sequences":
        if _SEQUENCES.fullmatch(text) is None:
            raise WrongParameter(f"{name}={text[:32]!r}; right is a whole number, such as 100")
        return int(text)
    if _SECONDS.fullmatch(text) is None:
        raise WrongParameter(f"{name}={text[:32]!r}; right is a number of seconds, such as 10 or 0.5")
    return float(text)
