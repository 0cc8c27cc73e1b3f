"""Finds the replication address of a node whose address a person or a Redis tool gave.

Redis has one port for everything, so REPLICAOF names client ports; this node has two. A port that answers
REPLICAD.STATUS is a client port, and the document says where replication listens.
"""

from __future__ import annotations

import asyncio
import json

from replicad.net.addresses import Address, address_of
from replicad.net.doors import Door, open_stream

REPLY_BYTES_MAX = 1 << 20


async def resolve(address: Address, seconds: float, door: Door) -> Address:
    """The replication address; the given address if no client port answers there."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await open_stream(door, address, REPLY_BYTES_MAX)
            try:
                writer.write(b"*1\r\n$15\r\nREPLICAD.STATUS\r\n")
                head = await reader.readline()
                # A replication port, or a Redis that does not know the command.
                if not head.startswith(b"$"):
                    return address
                document = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, RecursionError, asyncio.IncompleteReadError):
        return address

    found = address_of(str(document.get("replication", ""))) if isinstance(document, dict) else None
    return found or address
