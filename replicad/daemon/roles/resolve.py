"""From an address that a person or a Redis tool gives to the replication address of the node there.

REPLICAOF names client ports, as Redis has one port for everything; ours are two. Whoever answers
REPLICAD.STATUS is a client port, and its document says where replication listens.
"""

from __future__ import annotations

import asyncio
import json

from replicad.daemon.addresses import Address, address_of

REPLY_BYTES_MAX = 1 << 20


async def resolve(address: Address, seconds: float) -> Address:
    """The replication address; the one given when no client port answers there."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(*address, limit=REPLY_BYTES_MAX)
            try:
                writer.write(b"*1\r\n$15\r\nREPLICAD.STATUS\r\n")
                head = await reader.readline()
                if not head.startswith(b"$"):
                    return address
                document = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return address
    found = address_of(str(document.get("replication", ""))) if isinstance(document, dict) else None
    return found or address
