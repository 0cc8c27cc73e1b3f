"""How replication behaves: windows by bytes, intervals and deadlines in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from replicad.errors import InvalidArgument
from replicad.options import GIB, KIB, MIB, check_numbers
from replicad.replication.policy.slot_states import SlotLimits
from replicad.replication.policy.synchronous import Level, parse_rule

SILENCE_SECONDS_MIN = 10.0


@dataclass(frozen=True, kw_only=True)
class ReplicationOptions:
    """Both sides of a session use these; the primary tells its heartbeat interval to the replica."""

    heartbeat_seconds: float = 1.0
    """How often each side says that it is there."""
    idle_seconds: float = 10.0
    """Without a byte from the peer for this long, the session ends; at least twice heartbeat_seconds."""
    connect_seconds: float = 5.0
    """How long a connection may take."""
    handshake_seconds: float = 10.0
    """How long both sides may take to agree."""

    backoff_seconds_min: float = 0.1
    """The first pause before a replica connects again."""
    backoff_seconds_max: float = 5.0
    """The longest of these pauses."""
    stopped_retry_seconds: float = 15.0
    """How often a replica that was stopped with an explanation asks again."""

    send_seconds: float = 10.0
    """When the peer takes nothing of what waits for it for this long, the session ends."""
    ack_seconds: float = 0.005
    """A replica collects acknowledgements for this long, unless a write waits for them."""

    synchronous: str = ""
    """Which replicas a write waits for: "any 2", "first 1 of (a, b)"; empty: for none."""
    synchronous_level: Literal["received", "applied", "durable"] = "durable"
    """What these replicas must have done."""
    synchronous_seconds_max: float = 10.0
    """After this long a write is answered with an error that says where it is."""

    stale_reads: Literal["serve", "refuse"] = "serve"
    """Serve or refuse reads on a replica while it does not stream, a bootstrap included."""
    max_staleness_seconds: float = 0.0
    """A replica refuses reads when its data may be older than this; 0 means no limit. With each node on the
    way from the primary, data of replicas that follow well is up to heartbeat_seconds older."""

    ship: Literal["written", "durable"] = "written"
    """Of an "async" primary, take log as it is written, or only log that a loss of the primary's power cannot
    take back."""

    apply_delay_seconds: float = 0.0
    """A replica receives log at once and keeps it durably, but applies a batch, for readers to see, only when
    its commit time is this long in the past by the replica's clock."""
    apply_delay_bytes_max: int = 4 * GIB
    """A replica takes no more log while this much of it waits to be applied."""

    catch_up_seconds_max: float = 600.0
    """How long a replica reads archived log before it asks its primary again."""

    chunk_bytes: int = 256 * KIB
    """Log bytes in one FRAMES message; a single frame may be longer."""
    window_bytes: int = 8 * MIB
    """Log bytes that may be on their way without an acknowledgement; one chunk is always admitted."""
    file_chunk_bytes: int = MIB
    """How much of a file is in one message of a bootstrap."""
    copy_window_bytes: int = 64 * MIB
    """What all connections of a bootstrap may have on its way together, and each at least one piece: after a
    kill at most this much is sent again. Most links need less (`copy/copy_window.py`)."""
    copy_connections_max: int = 8
    """Connections join a bootstrap one by one, up to this many, while each makes it faster."""
    copy_bytes_per_second: int = 0
    """What all copies that a node sends may take together. `REPLICAD.THROTTLE` changes it; 0 means no
    limit."""

    slot_log_bytes_max: int = 4 * GIB
    """A slot that would keep more log than this releases its log."""
    slot_idle_seconds_max: float = 7 * 86400.0
    """So does a slot whose replica was away for this long, counted while the node ran; 0: never."""
    link_silence_seconds_max: float = 7 * 86400.0
    """A primary of another database that was not heard of for this long is not waited for any more when
    deletions are forgotten: its links are seeded again before they go on; 0: always wait."""
    copy_keep_seconds: float = 3600.0
    """A bootstrap copy that nobody has read from for this long is removed."""
    free_bytes_min: int = 64 * MIB
    """A bootstrap leaves at least this much room on the replica's disk."""

    LEAST: ClassVar[Mapping[str, float]] = {
        "heartbeat_seconds": 0.001,
        "ack_seconds": 0,
        "max_staleness_seconds": 0,
        "apply_delay_seconds": 0,
        "catch_up_seconds_max": 0,
        "copy_window_bytes": 2,
        "copy_bytes_per_second": 0,
        "slot_log_bytes_max": 0,
        "slot_idle_seconds_max": 0,
        "link_silence_seconds_max": 0,
        "copy_keep_seconds": 0,
        "free_bytes_min": 0,
    }

    @property
    def slot_limits(self) -> SlotLimits:
        return SlotLimits(
            log_bytes_max=self.slot_log_bytes_max, idle_seconds_max=self.slot_idle_seconds_max or None
        )

    def __post_init__(self) -> None:
        check_numbers(self)

        if 0 < self.link_silence_seconds_max < SILENCE_SECONDS_MIN:
            raise InvalidArgument(
                f"link_silence_seconds_max is 0 or at least {SILENCE_SECONDS_MIN:g}: linked primaries are "
                "heard of every five seconds"
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

        # What such a replica shows is never younger than the delay: every read would be refused.
        if 0 < self.max_staleness_seconds <= self.apply_delay_seconds:
            raise InvalidArgument("max_staleness_seconds must be above apply_delay_seconds, or 0")

        # One heartbeat that comes late must not end a session.
        if self.idle_seconds < 2 * self.heartbeat_seconds:
            raise InvalidArgument("idle_seconds must be at least twice heartbeat_seconds")


@dataclass(frozen=True, kw_only=True)
class VerificationOptions:
    """How a replica compares its data with the node it follows, in the background, and what it does then.

    A pass holds no snapshot for longer than `section_seconds`: it goes on at another mark.
    """

    interval_seconds: float = 86400.0
    """From one pass to the next; 0: no passes in the background."""
    bytes_per_second: int = 8 * MIB
    """How much a pass reads on each side; on the side that is asked, for all replicas together."""
    section_seconds: float = 300.0
    """How long a pass holds one snapshot."""
    differences_max: int = 10
    """A pass ends when it has found this many keys that differ."""
    on_divergence: Literal["refuse", "serve"] = "refuse"
    """Refuse or serve reads on a replica whose data differs, is damaged, or has another history than its
    primary."""
    repair: Literal["automatic", "ordered"] = "automatic"
    """Fetch such data again without being asked, or ("ordered") only after `replicad verify --repair`."""

    LEAST: ClassVar[Mapping[str, float]] = {"interval_seconds": 0}

    def __post_init__(self) -> None:
        for name, values in (
            ("on_divergence", ("refuse", "serve")),
            ("repair", ("automatic", "ordered")),
        ):
            if getattr(self, name) not in values:
                raise InvalidArgument(
                    f'{name} is "{values[0]}" or "{values[1]}", not {getattr(self, name)!r}'
                )
        check_numbers(self)


@dataclass(frozen=True, kw_only=True)
class RoleOptions:
    """How a node changes its role, and what it does when it is not sure of it."""

    stood_still_seconds: float = 1.0
    """A primary that did not run for this long asks the nodes it knows for their epoch before it acknowledges
    anything. One that starts asks likewise."""
    ask_seconds: float = 1.0
    """How long a node that is asked may take to answer."""
    when_alone: Literal["serve", "wait"] = "serve"
    """What a primary does when no other node answers it: go on, or wait until one answers. One that may have
    lost writes begins a new epoch, or waits."""
    meet_seconds: float = 1.0
    """How often nodes without a link look for each other. A primary tells them who it is, and a replica looks
    for a primary."""
    switchover_seconds: float = 10.0
    """A switchover is given up after this long, and writes go on where they were."""

    def __post_init__(self) -> None:
        if self.when_alone not in ("serve", "wait"):
            raise InvalidArgument(f'when_alone is "serve" or "wait", not {self.when_alone!r}')
        check_numbers(self)
