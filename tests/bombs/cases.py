"""The requests that are thrown: hostile ones, and some that are merely huge.

Each is one request or pipeline on one connection or several; `prepare` is said before, unmeasured. They are
thrown in this order: the ones that read a million keys come before the ones that delete them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MILLION = 1_000_000
LARGE_BYTES = 64 << 20
ARGUMENTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Bomb:
    """`payload` is made only when it is thrown: it is large. One that is not `read` goes to a client that
    takes no reply."""

    name: str
    payload: Callable[[], bytes]
    prepare: Callable[[], bytes] = lambda: b""
    connections: int = 1
    read: bool = True


def request(*arguments: bytes) -> bytes:
    return b"*%d\r\n" % len(arguments) + b"".join(
        [b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments]
    )


def names(count: int) -> Iterable[bytes]:
    return (b"key:%d" % number for number in range(count))


def pairs(count: int) -> Iterable[bytes]:
    for name in names(count):
        yield name
        yield b"value"


def million_keys() -> bytes:
    """What is there from the beginning."""
    step = MILLION // 500
    written = [
        request(b"MSET", *(part for n in range(at, at + step) for part in (b"key:%d" % n, b"value")))
        for at in range(0, MILLION, step)
    ]
    return b"".join(written)


def large_value() -> bytes:
    """So is this."""
    return request(b"SET", b"large", b"x" * LARGE_BYTES)


def _keys(command: bytes) -> Callable[[], bytes]:
    return lambda: request(command, *names(ARGUMENTS))


def _many(count: int, *arguments: bytes) -> Callable[[], bytes]:
    return lambda: request(*arguments) * count


def _transaction(count: int, *arguments: bytes) -> Callable[[], bytes]:
    return lambda: request(b"MULTI") + request(*arguments) * count + request(b"EXEC")


BOMBS = (
    Bomb(
        name="HELLO with 40,000 options",
        payload=lambda: request(b"HELLO", b"3", *[b"SETNAME", b"a"] * 20_000),
    ),
    Bomb(
        name="FAILOVER with 80,000 options",
        payload=lambda: request(b"FAILOVER", *[b"TIMEOUT", b"1"] * 40_000, b"NONSENSE"),
    ),
    Bomb(
        name="SWITCHOVER with 10^6 options",
        payload=lambda: request(b"REPLICAD.SWITCHOVER", *[b"TIMEOUT", b"1"] * 500_000, b"NONSENSE"),
    ),
    Bomb(
        name="BACKUP with 400,000 options",
        payload=lambda: request(b"REPLICAD.BACKUP", b"CREATE", *[b"FLUSH"] * 400_000, b"NONSENSE"),
    ),
    Bomb(
        name="SET with 10^6 options", payload=lambda: request(b"SET", b"k", b"v", *[b"NX"] * (ARGUMENTS - 3))
    ),
    Bomb(name="GETEX with 10^6 options", payload=lambda: request(b"GETEX", b"k", *[b"EX"] * (ARGUMENTS - 3))),
    Bomb(name="SCAN with 10^6 options", payload=lambda: request(b"SCAN", b"0", *[b"COUNT", b"1"] * 500_000)),
    Bomb(
        name="CLIENT LIST of 10^6 ids",
        payload=lambda: request(b"CLIENT", b"LIST", b"ID", *[b"7"] * ARGUMENTS),
    ),
    Bomb(name="INFO of 10^6 sections", payload=lambda: request(b"INFO", *[b"memory"] * ARGUMENTS)),
    Bomb(name="CONFIG GET of 10^6 patterns", payload=lambda: request(b"CONFIG", b"GET", *[b"*"] * ARGUMENTS)),
    Bomb(name="COMMAND INFO of 200,000", payload=lambda: request(b"COMMAND", b"INFO", *[b"get"] * 200_000)),
    Bomb(name="COMMAND DOCS of 200,000", payload=lambda: request(b"COMMAND", b"DOCS", *[b"get"] * 200_000)),
    Bomb(name="10,000 COMMANDs", payload=_many(10_000, b"COMMAND")),
    Bomb(name="10,000 COMMAND DOCS", payload=_many(10_000, b"COMMAND", b"DOCS")),
    Bomb(name="10,000 COMMAND INFO of 1,000", payload=_many(500, b"COMMAND", b"INFO", *[b"get"] * 1000)),
    Bomb(name="20,000 INFO", payload=_many(20_000, b"INFO")),
    Bomb(name="20,000 HELLO", payload=_many(20_000, b"HELLO", b"3")),
    Bomb(name="2,000 REPLICAD.STATUS", payload=_many(2000, b"REPLICAD.STATUS")),
    Bomb(name="20 STRLEN of 64 MiB", payload=_many(20, b"STRLEN", b"large")),
    Bomb(name="20 GETRANGE of 64 MiB", payload=_many(20, b"GETRANGE", b"large", b"1", b"9")),
    Bomb(name="20 EXISTS of 64 MiB", payload=_many(20, b"EXISTS", b"large")),
    Bomb(name="EXISTS of a 64 MiB value, 20 times", payload=lambda: request(b"EXISTS", *[b"large"] * 20)),
    Bomb(name="EXEC of 20 STRLEN of 64 MiB", payload=_transaction(20, b"STRLEN", b"large")),
    Bomb(name="EXEC of 20 EXISTS of 64 MiB", payload=_transaction(20, b"EXISTS", b"large")),
    Bomb(name="20 INCR of 64 MiB", payload=_many(20, b"INCR", b"large")),
    Bomb(name="20 SET NX of 64 MiB", payload=_many(20, b"SET", b"large", b"v", b"NX")),
    Bomb(name="20 SETNX of 64 MiB", payload=_many(20, b"SETNX", b"large", b"v")),
    Bomb(name="20 MSETNX of 64 MiB", payload=_many(20, b"MSETNX", b"large", b"v")),
    Bomb(name="10 GET of 64 MiB", payload=_many(10, b"GET", b"large")),
    Bomb(name="MGET of 64 MiB, 20 times", payload=lambda: request(b"MGET", *[b"large"] * 20)),
    Bomb(
        name="10 APPEND to 60 MiB",
        payload=_many(10, b"APPEND", b"grows", b"x"),
        prepare=lambda: request(b"SET", b"grows", b"x" * (60 << 20)),
    ),
    Bomb(name="10 SETRANGE of 60 MiB", payload=_many(10, b"SETRANGE", b"grows", b"7", b"x")),
    Bomb(name="GETDEL of 60 MiB", payload=lambda: request(b"GETDEL", b"grows")),
    Bomb(name="EXISTS of 10^6 keys", payload=_keys(b"EXISTS"), prepare=million_keys),
    Bomb(
        name="EXEC of an EXISTS of 10^6 keys",
        payload=lambda: request(b"MULTI") + _keys(b"EXISTS")() + request(b"EXEC"),
    ),
    Bomb(name="MGET of 10^6 keys", payload=_keys(b"MGET")),
    Bomb(
        name="EXEC of an MGET of 10^6 keys",
        payload=lambda: request(b"MULTI") + _keys(b"MGET")() + request(b"EXEC"),
    ),
    Bomb(name="MSETNX of 500,000 pairs", payload=lambda: request(b"MSETNX", *pairs(500_000))),
    Bomb(name="WATCH of 500,000 keys", payload=lambda: request(b"WATCH", *names(500_000))),
    Bomb(name="KEYS of 10^6", payload=_many(3, b"KEYS", b"*")),
    Bomb(name="KEYS that match none of 10^6", payload=_many(3, b"KEYS", b"*nothing*")),
    Bomb(name="SCAN COUNT 10^6", payload=_many(3, b"SCAN", b"0", b"COUNT", b"1000000")),
    Bomb(name="SCAN from cursors that are not known", payload=_many(5, b"SCAN", b"77")),
    Bomb(name="5 DBSIZE of 10^6", payload=_many(5, b"DBSIZE")),
    Bomb(name="EXEC of KEYS of 10^6", payload=_transaction(1, b"KEYS", b"*nothing*")),
    Bomb(name="EXEC of DBSIZE of 10^6", payload=_transaction(1, b"DBSIZE")),
    Bomb(name="MSET of 100,000 pairs", payload=lambda: request(b"MSET", *pairs(100_000))),
    Bomb(name="MSET of 500,000 pairs", payload=lambda: request(b"MSET", *pairs(500_000))),
    Bomb(
        name="REPLICAD.UPDATES of 500,000 operations by 4",
        payload=_many(1, b"REPLICAD.UPDATES", b"$last", b"1"),
        connections=4,
    ),
    Bomb(name="MULTI of 100,000 SETs", payload=_transaction(100_000, b"SET", b"k", b"v")),
    Bomb(name="MULTI of 500,000 GETs", payload=_transaction(500_000, b"GET", b"key:7")),
    Bomb(name="100,000 commands, nobody reads", payload=_many(100_000, b"GET", b"key:7"), read=False),
    Bomb(name="100,000 INFO, nobody reads", payload=_many(100_000, b"INFO"), read=False),
    Bomb(name="10^6 SETs in one pipeline", payload=_many(1_000_000, b"SET", b"key:7", b"v")),
    Bomb(name="10^6 inline PINGs", payload=lambda: b"PING\r\n" * 1_000_000),
    Bomb(name="10^6 unknown commands", payload=_many(1_000_000, b"NOTHING")),
    Bomb(
        name="DEL of 10^6 keys that are not there",
        payload=lambda: request(b"DEL", *(b"no:%d" % n for n in range(ARGUMENTS))),
    ),
    Bomb(name="UNLINK of 10^6 keys", payload=_keys(b"UNLINK")),
    Bomb(name="DEL of 10^6 keys", payload=_keys(b"DEL"), prepare=million_keys),
)
