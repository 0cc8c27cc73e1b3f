"""What the six calls are in the JSON of etcd's gateway: bytes in base64, 64-bit numbers as text, and what is
zero, empty or false left out.

Because of the last, `{}` would be an answer to nearly everything. So each answer must have etcd's header, and
a transaction as many results as it has operations: what else answers in JSON is not taken for etcd.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from replicad.etcd.calls import (
    Compare,
    Delete,
    EtcdLease,
    HasRevision,
    HasValue,
    IsAbsent,
    Operation,
    Pair,
    Put,
    Read,
    TxnOutcome,
)

Json = Mapping[str, Any]

_NUMBER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{1,4096}", re.ASCII)
_TO_THE_END = b"\0"


class MalformedAnswer(Exception):
    """What came is not what etcd answers; the message says what is wrong, and holds nothing of the answer."""


# What is asked.


def range_request(prefix: bytes) -> Json:
    return {"key": _text(prefix or b"\0"), "range_end": _text(end_of(prefix)), "sort_order": "ASCEND"}


def key_request(key: bytes) -> Json:
    """Whether a key is there, without its value."""
    return {"key": _text(key), "keys_only": True}


def end_of(prefix: bytes) -> bytes:
    """The first key after all that begin so.

    >>> end_of(b"a/"), end_of(b"a\\xff"), end_of(b"\\xff")
    (b'a0', b'b', b'\\x00')
    """
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else _TO_THE_END


def txn_request(
    compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation]
) -> Json:
    return {
        "compare": [_compare(each) for each in compares],
        "success": [_operation(each) for each in then],
        "failure": [_operation(each) for each in otherwise],
    }


def _compare(compare: Compare) -> Json:
    key = _text(compare.key)
    match compare:
        case IsAbsent():
            return {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
        case HasRevision(_, revision):
            return {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
        case HasValue(_, value):
            return {"key": key, "target": "VALUE", "result": "EQUAL", "value": _text(value)}


def _operation(operation: Operation) -> Json:
    match operation:
        case Put(key, value, lease):
            return {"request_put": {"key": _text(key), "value": _text(value), "lease": str(lease)}}
        case Delete(key):
            return {"request_delete_range": {"key": _text(key)}}
        case Read(prefix):
            return {"request_range": range_request(prefix)}


def _text(data: bytes) -> str:
    return b64encode(data).decode()


# What is answered. All raise MalformedAnswer.


def pairs_of(answer: Json) -> tuple[Pair, ...]:
    _check_header(answer)
    return _pairs(answer)


def outcome_of(answer: Json, then: Sequence[Operation], otherwise: Sequence[Operation]) -> TxnOutcome:
    _check_header(answer)
    succeeded = answer.get("succeeded", False)
    if not isinstance(succeeded, bool):
        raise MalformedAnswer("`succeeded` is neither true nor false")

    operations, results = then if succeeded else otherwise, _objects(answer, "responses")
    if len(results) != len(operations):
        raise MalformedAnswer(f"it has {len(results)} results for {len(operations)} operations")
    pairs: list[Pair] = []
    for operation, result in zip(operations, results, strict=True):
        match operation:
            case Put():
                _object(result, "response_put")
            case Delete():
                _object(result, "response_delete_range")
            case Read():
                pairs += _pairs(_object(result, "response_range"))
    return TxnOutcome(succeeded, tuple(pairs))


def granted_lease(answer: Json, sent_at: float) -> EtcdLease:
    _check_header(answer)
    lease, ttl = _number(answer, "ID"), _number(answer, "TTL")
    if lease <= 0 or ttl <= 0:
        raise MalformedAnswer("it grants no lease")
    return EtcdLease(lease, ttl, sent_at)


def kept_lease(answer: Json, lease: int, sent_at: float) -> EtcdLease:
    """Without a time to live, or with one of 0, the lease has ended."""
    result = _object(answer, "result")
    _check_header(result)
    if _number(result, "ID") != lease:
        raise MalformedAnswer("it is about another lease")
    return EtcdLease(lease, max(0, _number(result, "TTL", 0)), sent_at)


def kept_in_term(answer: Json) -> int:
    """The term of Raft in which the endpoint was before it kept the lease alive."""
    return _term(_object(answer, "result"))


def read_in_term(answer: Json) -> int:
    """And after it had read."""
    _check_header(answer)
    return _term(answer)


def check_revoked(answer: Json) -> None:
    _check_header(answer)


def token_of(answer: Json) -> str:
    _check_header(answer)
    token = answer.get("token")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise MalformedAnswer("it has no token")
    return token


def _check_header(answer: Json) -> None:
    if _number(_object(answer, "header"), "revision") <= 0:
        raise MalformedAnswer("its header has no revision")


def _term(answer: Json) -> int:
    return _number(_object(answer, "header"), "raft_term", 0)


def _pairs(answer: Json) -> tuple[Pair, ...]:
    if answer.get("more", False) is not False:
        raise MalformedAnswer("it is not the whole range")
    return tuple(
        Pair(
            _bytes(each, "key"),
            _bytes(each, "value", b""),
            _number(each, "mod_revision"),
            _number(each, "lease", 0),
        )
        for each in _objects(answer, "kvs")
    )


def _object(within: Json, name: str) -> Json:
    found = within.get(name)
    if not isinstance(found, dict):
        raise MalformedAnswer(f"it has no `{name}`")
    return found


def _objects(within: Json, name: str) -> Sequence[Json]:
    found = within.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise MalformedAnswer(f"`{name}` is not a list of objects")
    return found


def _number(within: Json, name: str, absent: int | None = None) -> int:
    found = within.get(name, absent)
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        return int(found)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    raise MalformedAnswer(f"`{name}` is not a number")


def _bytes(within: Json, name: str, absent: bytes | None = None) -> bytes:
    found = within.get(name)
    if found is None and absent is not None:
        return absent
    if isinstance(found, str):
        try:
            return b64decode(found, validate=True)
        except ValueError:
            pass
    raise MalformedAnswer(f"`{name}` is not base64")
