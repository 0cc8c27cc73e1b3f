"""The steps that opening for writing and opening for reading have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem
from replicad.options import FamilyOptions, Options
from replicad.store.core import Core
from replicad.store.directory.log_place import check_wal_dir
from replicad.store.directory.options_file import recorded_families
from replicad.store.manifest.state import ManifestState
from replicad.store.wal.catalog import OTHER_DATABASE, find_segments
from replicad.store.wal.recovery import Bounds, Recovered, replay
from replicad.store.wal.segment import Segment
from replicad.store.write.control import apply_control
from replicad.types import Position


def options_for_opening(
    fs: FileSystem, path: Path, options: Options, families: Mapping[str, FamilyOptions] | None
) -> tuple[Options, bool]:
    """(the options that hold, those of families included; whether the last opening said the latter)."""
    if options.wal_dir is not None:  # Kept in the options file, for openings from any directory.
        options = replace(options, wal_dir=options.wal_dir.absolute())
    check_wal_dir(path, options)

    # A caller that says nothing of families gets the options that the last opening gave them.
    recorded = families is None and options.families is None
    if families is None:
        families = recorded_families(fs, path) if recorded else options.families
    return replace(options, families=families or None), recorded


def forget_families_gone(core: Core) -> None:
    """A family may have been dropped after its options were recorded: a new one of that name has none."""
    for name in core.family_options.keys() - core.version.live_names():
        core.forget_family_options(name)


def find_log(
    fs: FileSystem, wal: Path, archive: Path, state: ManifestState, now: float
) -> tuple[list[Segment], list[tuple[Path, str]]]:
    """`find_segments` of the history that the manifest speaks of."""
    if state.log_replaced:
        return [], []
    return find_segments(fs, wal, archive, state.database_id, now)


def note_passed_over(core: Core, passed_over: list[tuple[Path, str]]) -> None:
    core.notes += [f"{file}: passed over: {reason}" for file, reason in passed_over]


def replay_into(
    core: Core,
    segments: list[Segment],
    passed_over: list[tuple[Path, str]],
    replayed: Callable[[Position, int], None],
    *,
    flushed_log_is_archived: bool,
) -> Recovered:
    """Fills memtables from the log. `replayed` is called after every few frames, with the position after them
    and the commit time of the last."""

    def consume(frames: bytes, position: Position, commit_time_us: int) -> None:
        offset = 0
        while offset < len(frames):
            offset, control = kernels.apply_frames(frames, core.memtables, offset)
            for operation in control:
                apply_control(core, operation)
        replayed(position, commit_time_us)

    # Durable sequence numbers in frames of another node speak of that node's disk. They prove nothing here.
    owned_after = None if core.role == "replica" or core.state.copy else core.state.owned.sequence
    bounds = Bounds(core.state.synced, owned_after)

    live = core.catalog.live
    headless = tuple(file for file, reason in passed_over if file.parent == live and reason != OTHER_DATABASE)
    return replay(
        core.env.fs,
        segments,
        core.database_id,
        core.state.flushed,
        bounds,
        consume,
        headless,
        flushed_log_is_archived=flushed_log_is_archived,
    )


def take_over(core: Core, recovered: Recovered, segments: list[Segment], done: str) -> list[Segment]:
    """Makes the end of the log that was found the end of the log that is there; `done` says in a note what
    was done with a torn tail. Returns the empty segments, which are not part of the log."""
    torn = recovered.torn
    kept = segments
    if torn is not None:
        core.notes.append(
            f"{torn.path}: {done} a torn tail at offset {torn.offset} ({torn.reason}); "
            f"the log ends at sequence number {recovered.position.sequence}"
        )
        kept = [segment for segment in segments if segment not in torn.later]
    empty = [segment for segment in kept if segment.last_sequence < segment.first_sequence]
    core.catalog.replace([segment for segment in kept if segment not in empty])

    # A writer synced the log before it read it, so that everything recovered is durable. Commit times go on
    # from the last one even where the log that had it is gone.
    core.recovered_time_us = max(recovered.commit_time_us, core.state.commit_time_us)
    core.progress.begin_at(recovered.position)
    return empty
