"""Faults that have a story: things that befall the cluster in an order that chance hardly ever draws."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.faults import Faults


async def standstills(faults: Faults) -> None:
    """A primary stands still twice in a row, while another node hangs and the third may be promoted."""
    world, draw = faults.world, faults.draw
    machine = world.primary()
    if machine is None or machine.is_paused:
        return
    others = [other for other in world.machines if other is not machine]
    hanging, heir = draw.sample(others, 2)
    doubt_seconds = world.scenario.roles.stood_still_seconds
    if draw.random() < 0.7:
        hanging.pause()
        faults.after(draw.uniform(1.0, 5.0), hanging.go_on)
    machine.pause()
    await asyncio.sleep(doubt_seconds * draw.uniform(1.1, 1.5))
    machine.go_on()
    await asyncio.sleep(draw.random() * 0.3)
    machine.pause()
    if world.scenario.promise != "sync":
        await asyncio.sleep(draw.uniform(0.05, 0.3))
        faults.promote(heir)
    await asyncio.sleep(doubt_seconds * draw.uniform(1.1, 1.8))
    machine.go_on()


MISHAPS: dict[str, Callable[[Faults], Awaitable[None]]] = {"standstills": standstills}
"""By the names that scenarios draw."""
