"""Until when a leader may acknowledge writes: by its own clock, which goes on while the machine sleeps.

    the lease      ends `ttl` after etcd took the keepalive or later, and etcd took it after it was sent
    the failsafe   a member holds still for `ttl` after it answered, and it answered after it was asked

So the right lasts until the request that was answered was *sent*, + ttl - margin. The margin is for clocks
that run at different speeds. The time of the answer says nothing: it may have been on its way for long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Right:
    """`leads`: etcd named this node when it was asked last, and nothing has contradicted that.
    `is_stated`: etcd says which replicas this leader waits for (`rules`)."""

    ttl_seconds: float
    margin_seconds: float
    leads: bool = False
    is_stated: bool = False
    kept_at: float = NEVER
    """When the last request that prolonged the lease was sent; of the lease that holds the leadership."""
    vouched_at: float = NEVER
    """When all members were asked that then said that they follow this node."""

    @property
    def until(self) -> float:
        return max(self.kept_at, self.vouched_at) + self.ttl_seconds - self.margin_seconds

    def may_acknowledge(self, now: float) -> bool:
        return self.leads and self.is_stated and now < self.until

    def lost(self) -> Right:
        """Another node leads, or may: nothing that was true of this leadership counts any more."""
        return replace(self, leads=False, is_stated=False, kept_at=NEVER, vouched_at=NEVER)
