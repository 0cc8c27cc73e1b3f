"""Numbers as people read them: in messages, and in what the command line prints. JSON has plain numbers."""

from __future__ import annotations

from datetime import UTC, datetime

from replicad.errors import InvalidArgument

_TIME_END_US = 253_402_300_800_000_000
"""The year 10000."""
_NEVER_SECONDS = 1e9
"""What nodes show at most for a time that is still left."""


def show_size(size_bytes: float) -> str:
    """A size for people, in binary units.

    >>> show_size(1536)
    '1.5 KiB'
    """
    if round(size_bytes) < 1024:
        return f"{size_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size_bytes /= 1024
        if round(size_bytes, 1) < 1024:
            return f"{size_bytes:.1f} {unit}"
    size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def show_seconds(seconds: float) -> str:
    """A span of time for people; a node that expects something in 1e9 seconds does not expect it.

    >>> show_seconds(95), show_seconds(0.25), show_seconds(508_000), show_seconds(1e9)
    ('1m35s', '0.25s', '5d21h', 'never')
    """
    if seconds < 0:
        shown = show_seconds(-seconds)
        return shown if shown == "0s" else f"-{shown}"
    if seconds >= _NEVER_SECONDS:
        return "never"
    if seconds < 9.995:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"

    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def show_count(count: int, one: str, many: str | None = None) -> str:
    """How many of something; `many` is for a word that takes more than an s.

    >>> show_count(1, "file"), show_count(0, "file"), show_count(2, "batch", "batches")
    ('1 file', '0 files', '2 batches')
    """
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


def show_time(time_us: int) -> str:
    """A wall-clock time in UTC, with microseconds; the bare number when no calendar has it.

    >>> show_time(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    if not 0 <= time_us < _TIME_END_US:
        return f"{time_us} µs"
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> int:
    """Microseconds since 1970; without a zone the time is UTC. Raises InvalidArgument.

    >>> parse_time("1970-01-01T00:00:01.5Z")
    1500000
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(f"{text!r} is not a time: write it as 2026-03-01T12:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return round(seconds * 1_000_000)
