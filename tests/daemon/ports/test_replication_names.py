"""At the replication port a node is what its certificate says, whatever it wants."""

from __future__ import annotations

from unittest.mock import AsyncMock, MagicMock

import pytest

from replicad.daemon.replication_sessions import ReplicationSessions
from replicad.net.certificates import Certificate
from replicad.replication.wire.identify import COPY_ONLY, SOFTWARE, VERSIONS
from replicad.replication.wire.messages import Hello, Message, Refuse

OPERATOR = Certificate(frozenset({"operator"}), frozenset(), 0.0)
DATABASE = b"d" * 16


@pytest.mark.parametrize(
    "name, features, database, refused",
    [
        ("operator", (), DATABASE, False),
        ("lyon", (), DATABASE, True),
        ("lyon", (COPY_ONLY,), DATABASE, True),
        ("backup", (COPY_ONLY,), None, False),
    ],
)
async def test_who_is_streamed_to_is_called_as_its_certificate(
    name: str, features: tuple[str, ...], database: bytes | None, refused: bool
) -> None:
    """A name that counts for synchronous replication; a copy has none."""
    hello = Hello(VERSIONS, b"n" * 16, b"p" * 16, database, features, SOFTWARE, name)
    sent: list[Message] = []
    connection = MagicMock(receive=AsyncMock(return_value=hello), send=sent.append, certificate=OPERATOR)
    store = MagicMock()
    store.feed.serve = AsyncMock()
    sessions = ReplicationSessions(
        5.0,
        store=store,
        survey=MagicMock(),
        takeover=MagicMock(),
        lost_tail=MagicMock(is_sought=False),
        door=MagicMock(is_tls=True, allow=("lyon", "operator")),
        traffic=MagicMock(),
        serve_link=AsyncMock(),
    )
    await sessions.serve(connection)
    assert [message.code for message in sent if isinstance(message, Refuse)] == ["certificate"] * refused
    assert store.feed.serve.await_count == (not refused)
