"""A node whose wall clock is wrong, by faketime's library: no process stands between it and its signals."""

from __future__ import annotations

import shutil
import subprocess


def is_installed() -> bool:
    return shutil.which("faketime") is not None


def environment(offset_seconds: float) -> dict[str, str]:
    """What a process needs whose wall clock is that far ahead. Its monotonic clock is right."""
    printed = subprocess.run(
        ["faketime", "-f", f"{offset_seconds:+.1f}", "env"], capture_output=True, text=True, check=True
    ).stdout
    wanted = ("LD_PRELOAD=", "FAKETIME=")
    found = dict(line.split("=", 1) for line in printed.splitlines() if line.startswith(wanted))
    return found | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
