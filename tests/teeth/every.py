"""All mutations."""

from __future__ import annotations

from tests.teeth.copies import COPIES
from tests.teeth.disk import DISK
from tests.teeth.log import LOG
from tests.teeth.mutation import Mutation
from tests.teeth.nodes import NODES

MUTATIONS: tuple[Mutation, ...] = tuple(
    sorted((*DISK, *LOG, *COPIES, *NODES), key=lambda mutation: mutation.trap)
)
