"""How replication behaves: windows by bytes, intervals and deadlines in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from replicad.errors import InvalidArgument
from replicad.options import GIB, KIB, MIB, check_numbers
from replicad.replication.policy.slot_states import SlotLimits
from replicad.replication.policy.synchronous import Level, parse_rule


@dataclass(frozen=True, kw_only=True)
class ReplicationOptions:
    """Both sides of a session use these; the primary tells its heartbeat interval to the replica."""

    heartbeat_seconds: float = 1.0
    idle_seconds: float = 10.0
    """Without a byte from the peer for this long, the session ends."""
    connect_seconds: float = 5.0
    handshake_seconds: float = 10.0

    backoff_seconds_min: float = 0.1
    backoff_seconds_max: float = 5.0
    stopped_retry_seconds: float = 15.0
    """How often a replica that was stopped with an explanation asks again."""

    send_seconds: float = 10.0
    """When the peer takes nothing of what waits for it for this long, the session ends."""
    ack_seconds: float = 0.005
    """A replica collects acknowledgements for so long, unless somebody waits for them."""

    synchronous: str = ""
    """Which replicas a write waits for: "any 2", "first 1 of (a, b)"; empty is none."""
    synchronous_level: Literal["received", "applied", "durable"] = "durable"
    synchronous_seconds_max: float = 10.0
    """A write whose replicas did not answer for so long is answered with an error that says where it is."""

    stale_reads: Literal["serve", "refuse"] = "serve"
    """What a replica does with reads while it does not stream, a bootstrap included."""
    max_staleness_seconds: float = 0.0
    """A replica refuses reads when its data may be older than this; 0 means no limit. With each node on the
    way from the primary, data of replicas that follow well is up to heartbeat_seconds older."""

    ship: Literal["written", "durable"] = "written"
    """What this node takes of a primary whose store is "async": log as it is written, or only log that a loss
    of the primary's power cannot take back."""

    catch_up_seconds_max: float = 600.0
    """A replica reads archived log for so long before it asks its primary again."""

    chunk_bytes: int = 256 * KIB
    """Log bytes in one FRAMES message; a single frame may be longer."""
    window_bytes: int = 8 * MIB
    """Log bytes that may be on their way without an acknowledgement; one chunk is always admitted."""
    file_chunk_bytes: int = MIB
    copy_window_bytes: int = 64 * MIB
    """What all connections of a bootstrap may have on its way together, and each at least one piece: after a
    kill at most this much is sent again. Most links need less (`copy/copy_window.py`)."""
    copy_connections_max: int = 8
    """Connections join a bootstrap one by one, up to this many, while each makes it faster."""
    copy_bytes_per_second: int = 0
    """What all copies that a node sends may take together. `REPLICAD.THROTTLE` changes it; 0 means no
    limit."""

    slot_log_bytes_max: int = 4 * GIB
    """A slot that would keep more log than this lets go of it."""
    slot_idle_seconds_max: float = 7 * 86400.0
    """So does one whose replica was away for this long, counted while the node ran; 0 is never."""
    copy_keep_seconds: float = 3600.0
    """A bootstrap copy that nobody has read from for this long is removed."""
    free_bytes_min: int = 64 * MIB
    """A bootstrap leaves at least this much room on the replica's disk."""

    @property
    def slot_limits(self) -> SlotLimits:
        return SlotLimits(
            log_bytes_max=self.slot_log_bytes_max, idle_seconds_max=self.slot_idle_seconds_max or None
        )

    def __post_init__(self) -> None:
        check_numbers(
            self,
            may_be_zero=(
                "ack_seconds",
                "max_staleness_seconds",
                "catch_up_seconds_max",
                "copy_bytes_per_second",
                "slot_log_bytes_max",
                "slot_idle_seconds_max",
                "copy_keep_seconds",
                "free_bytes_min",
            ),
            least={"heartbeat_seconds": 0.001, "copy_window_bytes": 2},
        )

        # What cannot work is refused at the start, not at the first write or the first read that meets it.
        try:
            parse_rule(self.synchronous)
        except InvalidArgument as error:
            raise InvalidArgument(f"synchronous: {error}") from None
        if self.synchronous_level not in [level.value for level in Level]:
            raise InvalidArgument(f"synchronous_level is not {self.synchronous_level!r}")

        if self.stale_reads not in ("serve", "refuse"):
            raise InvalidArgument(f'stale_reads is "serve" or "refuse", not {self.stale_reads!r}')

        if self.ship not in ("written", "durable"):
            raise InvalidArgument(f'ship is "written" or "durable", not {self.ship!r}')

        # What a replica knows of its primary is up to a heartbeat old, so a smaller limit would refuse reads
        # of a replica that follows well.
        if 0 < self.max_staleness_seconds < 2 * self.heartbeat_seconds:
            raise InvalidArgument("max_staleness_seconds must be at least twice heartbeat_seconds")

        # One heartbeat that comes late must not end a session.
        if self.idle_seconds < 2 * self.heartbeat_seconds:
            raise InvalidArgument("idle_seconds must be at least twice heartbeat_seconds")


@dataclass(frozen=True, kw_only=True)
class VerificationOptions:
    """How a replica compares its data with the node it follows, in the background, and what it does then.

    A pass holds no snapshot for longer than `section_seconds`: it goes on at another mark.
    """

    interval_seconds: float = 86400.0
    """Between two passes; 0: none in the background."""
    bytes_per_second: int = 8 * MIB
    """What a pass reads on each side; on the side that is asked, for all replicas together."""
    section_seconds: float = 300.0
    differences_max: int = 10
    """A pass ends when it has found this many keys that differ."""
    on_divergence: Literal["refuse", "serve"] = "refuse"
    """Whether a node whose data differs, or is damaged, refuses reads until it is mended."""
    repair: Literal["automatic", "ordered"] = "automatic"
    """Whether a replica whose data differs, or is damaged, bootstraps again by itself, or when told to."""

    def __post_init__(self) -> None:
        for name, values in (
            ("on_divergence", ("refuse", "serve")),
            ("repair", ("automatic", "ordered")),
        ):
            if getattr(self, name) not in values:
                raise InvalidArgument(
                    f'{name} is "{values[0]}" or "{values[1]}", not {getattr(self, name)!r}'
                )
        check_numbers(self, may_be_zero=("interval_seconds",))


@dataclass(frozen=True, kw_only=True)
class RoleOptions:
    """How a node changes its role, and what it does when it is not sure of it."""

    stood_still_seconds: float = 1.0
    """A primary that finds that it did not run for so long asks the nodes it knows for their epoch before it
    acknowledges anything again; one that starts asks likewise."""
    ask_seconds: float = 1.0
    """How long a node that is asked may take to answer."""
    when_alone: Literal["serve", "wait"] = "serve"
    """What a primary does that asked nodes of which none answered: go on, or wait until one answers."""
    meet_seconds: float = 1.0
    """How often a primary tells nodes that are not connected who it is, and a replica without a link looks
    for a primary."""
    switchover_seconds: float = 10.0
    """After so long a switchover is given up, and writes go on where they were."""

    def __post_init__(self) -> None:
        if self.when_alone not in ("serve", "wait"):
            raise InvalidArgument(f'when_alone is "serve" or "wait", not {self.when_alone!r}')
        check_numbers(self)
