"""A stream of annotated transactions that goes on while nodes are killed, and what must be true of it.

Each transaction sets a key of its own, increments a counter and carries an annotation. When the connection
breaks before the answer, the writer looks for the transaction's key in the recovered primary: there it was
done, else it is done again. So at the end each number must be there exactly once.
"""

from __future__ import annotations

import threading
import time

from replicad.cli.demonstration.ports import HOST
from replicad.cli.nodes.client import Client
from replicad.errors import DemoError, ReplyError, UnreachableError

COUNTER = b"demo:counter"
RECONNECT_SECONDS_MAX = 30.0
STEP_SECONDS_MAX = 30.0


def transaction_key(number: int) -> bytes:
    return b"demo:transaction:%08d" % number


def annotation(number: int) -> bytes:
    return b'{"demo":"transaction","number":%d}' % number


class TransactionStream:
    """Writes transactions 1, 2, 3, … from a thread of its own until told to stop."""

    def __init__(self, port: int) -> None:
        self.acknowledged = 0
        """All transactions up to this number are done."""
        self.reconnects = 0
        self.asked_again = 0
        """How often an answer was lost and the transaction was found to have been done all the same."""
        self._port = port
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="transactions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_for(self, count: int) -> None:
        """Returns when `count` transactions are done; raises what ended the stream."""
        deadline = time.monotonic() + STEP_SECONDS_MAX
        while self.acknowledged < count:
            if self._error is not None:
                raise self._error
            if time.monotonic() > deadline:
                raise DemoError(f"transactions stopped at {self.acknowledged}, waiting for {count}")
            time.sleep(0.005)

    def stop(self) -> int:
        """Ends the stream after the transaction under way; how many were done."""
        self._stopping.set()
        self._thread.join(RECONNECT_SECONDS_MAX)
        if self._error is not None:
            raise self._error
        return self.acknowledged

    def _run(self) -> None:
        client: Client | None = None
        try:
            while not self._stopping.is_set():
                number = self.acknowledged + 1
                try:
                    if client is None:
                        client = self._connect()
                        if client.call("GET", transaction_key(number)) is not None:
                            self.asked_again += 1
                            self.acknowledged = number
                            continue
                    if _transact(client, number):
                        self.acknowledged = number
                except UnreachableError:
                    if client is not None:
                        client.close()
                        self.reconnects += 1
                    client = None
        except BaseException as error:
            self._error = error
        finally:
            if client is not None:
                client.close()

    def _connect(self) -> Client:
        deadline = time.monotonic() + RECONNECT_SECONDS_MAX
        while True:
            try:
                return Client(HOST, self._port)
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise DemoError("the primary did not come back") from None
                time.sleep(0.01)


def _transact(client: Client, number: int) -> bool:
    """MULTI … EXEC: False when the primary, which has just come back, writes nothing yet. Raises
    UnreachableError when the answer is lost."""
    replies = client.pipeline(
        [
            ("MULTI",),
            ("REPLICAD.LOGDATA", annotation(number)),
            ("SET", transaction_key(number), b"value of %d" % number),
            ("INCR", COUNTER),
            ("EXEC",),
        ]
    )
    *_, executed = replies
    if isinstance(executed, ReplyError):
        if str(executed).startswith("TRYAGAIN "):
            return False
        raise executed
    if executed is None or executed[-1] != number:
        raise DemoError(f"transaction {number} made the counter {executed and executed[-1]}")
    return True
