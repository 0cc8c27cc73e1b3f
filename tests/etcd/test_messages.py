"""What is asked and answered, without a server: bounds of prefixes, and answers that are not well-formed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad.etcd import messages
from replicad.etcd.calls import Delete, Operation, Pair, Put, Read, TxnOutcome
from replicad.etcd.messages import Json, MalformedAnswer

HEADER = {"cluster_id": "1", "revision": "7"}
KEYS = st.binary(max_size=4) | st.lists(st.sampled_from(b"\x00a\xfe\xff"), max_size=4).map(bytes)


@given(prefix=KEYS, key=KEYS.filter(bool))
def test_a_range_has_the_keys_that_begin_so(prefix: bytes, key: bytes) -> None:
    """And no others; the end \\0 is that of all keys."""
    end = messages.end_of(prefix)
    assert (prefix <= key and (end == b"\0" or key < end)) == key.startswith(prefix)


@given(
    pairs=st.lists(
        st.builds(
            Pair,
            st.binary(min_size=1),
            st.binary(),
            st.integers(1, 2**63 - 1),
            st.integers(0, 2**63 - 1),
        )
    )
)
def test_pairs_are_read_as_etcd_writes_them(pairs: list[Pair]) -> None:
    """With empty values and a lease of 0 left out."""
    kvs = []
    for pair in pairs:
        written = {"key": messages._text(pair.key), "mod_revision": str(pair.revision)}
        if pair.value:
            written["value"] = messages._text(pair.value)
        if pair.lease:
            written["lease"] = str(pair.lease)
        kvs.append(written)
    answer: Json = {"header": HEADER, "kvs": kvs, "count": str(len(kvs))}
    assert messages.pairs_of(answer) == tuple(pairs)


@pytest.mark.parametrize(
    "answer",
    [
        {"kvs": []},
        {"header": HEADER, "kvs": {}},
        {"header": HEADER, "kvs": ["YQ=="]},
        {"header": HEADER, "kvs": [{"mod_revision": "1"}]},
        {"header": HEADER, "kvs": [{"key": "YQ=="}]},
        {"header": HEADER, "kvs": [{"key": "!", "mod_revision": "1"}]},
        {"header": HEADER, "kvs": [{"key": "YQ=", "mod_revision": "1"}]},
        {"header": HEADER, "kvs": [{"key": 1, "mod_revision": "1"}]},
        {"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": "1.5"}]},
        {"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": "\u0661"}]},
        {"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": 1.5}]},
        {"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": True}]},
        {"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": None}]},
        {"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": "1", "lease": []}]},
        {"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": "1", "value": "é"}]},
        {"header": HEADER, "kvs": [], "more": True},
        {"header": {"revision": "0"}, "kvs": []},
        {"header": {}, "kvs": []},
        {"header": [], "kvs": []},
    ],
)
def test_a_range_that_is_not_well_formed_is_refused(answer: Json) -> None:
    """Nothing of it is used."""
    with pytest.raises(MalformedAnswer):
        messages.pairs_of(answer)


THEN: list[Operation] = [Put(b"a", b""), Delete(b"b"), Read(b"c")]
RESULTS: list[Json] = [{"response_put": {}}, {"response_delete_range": {}}, {"response_range": {}}]


def test_a_transaction_has_a_result_for_each_operation() -> None:
    """Of the branch that was done: `succeeded` is left out where it is false."""
    done: Json = {"header": HEADER, "succeeded": True, "responses": RESULTS}
    assert messages.outcome_of(done, THEN, []) == TxnOutcome(True)
    assert messages.outcome_of({"header": HEADER}, THEN, []) == TxnOutcome(False)
    assert messages.outcome_of({"header": HEADER, "responses": RESULTS}, [], THEN) == TxnOutcome(False)


@pytest.mark.parametrize(
    "answer",
    [
        {"succeeded": True, "responses": RESULTS},
        {"header": HEADER, "succeeded": "true", "responses": RESULTS},
        {"header": HEADER, "succeeded": None, "responses": RESULTS},
        {"header": HEADER, "succeeded": True},
        {"header": HEADER, "succeeded": True, "responses": RESULTS[:2]},
        {"header": HEADER, "succeeded": True, "responses": [*RESULTS, {"response_put": {}}]},
        {"header": HEADER, "succeeded": True, "responses": RESULTS[::-1]},
        {"header": HEADER, "succeeded": True, "responses": {}},
        {"header": HEADER, "responses": RESULTS},
    ],
)
def test_a_transaction_that_is_not_well_formed_is_refused(answer: Json) -> None:
    """Above all it has not failed: that would be an answer."""
    with pytest.raises(MalformedAnswer):
        messages.outcome_of(answer, THEN, [])


@pytest.mark.parametrize("token", [None, "", 7, "a b", "a\r\nHost: x", "é", "x" * 5000])
def test_a_token_that_no_header_holds_is_refused(token: object) -> None:
    """It would be sent with each request."""
    with pytest.raises(MalformedAnswer):
        messages.token_of({"header": HEADER, "token": token})


@pytest.mark.parametrize(("lease", "ttl"), [("0", "5"), ("-1", "5"), ("5", "0"), ("5", None), (None, "5")])
def test_a_grant_without_a_lease_or_a_time_is_refused(lease: str | None, ttl: str | None) -> None:
    """There is nothing to count on."""
    fields = {name: value for name, value in (("ID", lease), ("TTL", ttl)) if value is not None}
    with pytest.raises(MalformedAnswer):
        messages.granted_lease({"header": HEADER, **fields}, 1.0)
