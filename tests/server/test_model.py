"""Random commands, alone, in pipelines and in transactions, against a dict that does the same."""

from __future__ import annotations

import random
import threading

import pytest
import redis

from tests.server.harness import RunningServer, encode_request
from tests.support.waiting import eventually

KEYS = [b"a", b"b", b"c", b"d"]
REQUESTS_PER_SEED = 400


class Model:
    """What Redis would answer, in RESP2."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}

    def answer(self, request: list[bytes]) -> bytes:
        name, *arguments = request
        method = getattr(self, f"do_{name.decode().lower()}")
        answered: bytes = method(*arguments)
        return answered

    def do_get(self, key: bytes) -> bytes:
        return self.bulk(self.pairs.get(key))

    def do_set(self, key: bytes, value: bytes, *options: bytes) -> bytes:
        old = self.pairs.get(key)
        wanted = (b"NX" not in options or old is None) and (b"XX" not in options or old is not None)
        if wanted:
            self.pairs[key] = value
        if b"GET" in options:
            return self.bulk(old)
        return b"+OK\r\n" if wanted else self.bulk(None)

    def do_incr(self, key: bytes) -> bytes:
        old = self.pairs.get(key, b"0")
        if not old.lstrip(b"-").isdigit():
            return b"-ERR value is not an integer or out of range\r\n"
        self.pairs[key] = b"%d" % (int(old) + 1)
        return b":" + self.pairs[key] + b"\r\n"

    def do_append(self, key: bytes, value: bytes) -> bytes:
        self.pairs[key] = self.pairs.get(key, b"") + value
        return b":%d\r\n" % len(self.pairs[key])

    def do_del(self, *keys: bytes) -> bytes:
        return b":%d\r\n" % sum([self.pairs.pop(key, None) is not None for key in keys])

    def do_exists(self, *keys: bytes) -> bytes:
        return b":%d\r\n" % sum([key in self.pairs for key in keys])

    def do_mset(self, *words: bytes) -> bytes:
        self.pairs.update(zip(words[::2], words[1::2], strict=True))
        return b"+OK\r\n"

    def do_mget(self, *keys: bytes) -> bytes:
        return b"*%d\r\n" % len(keys) + b"".join([self.do_get(key) for key in keys])

    def do_getdel(self, key: bytes) -> bytes:
        return self.bulk(self.pairs.pop(key, None))

    def do_dbsize(self) -> bytes:
        return b":%d\r\n" % len(self.pairs)

    @staticmethod
    def bulk(value: bytes | None) -> bytes:
        return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def random_request(choose: random.Random) -> list[bytes]:
    key, other = choose.choice(KEYS), choose.choice(KEYS)
    value = choose.choice([b"1", b"7", b"x", b""])
    option = choose.choice([b"NX", b"XX", b"GET"])
    return choose.choice(
        [
            [b"GET", key],
            [b"GET", key],
            [b"SET", key, value],
            [b"SET", key, value],
            [b"SET", key, value, option],
            [b"INCR", key],
            [b"APPEND", key, value],
            [b"DEL", key, other],
            [b"EXISTS", key, other],
            [b"MSET", key, value, other, b"m"],
            [b"MGET", key, other],
            [b"GETDEL", key],
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_random_commands_answer_as_a_dict_would(server: RunningServer, seed: int) -> None:
    """Whatever is grouped, held or run in a thread, the answers are those of one command after the other."""
    print(f"seed {seed}")
    choose = random.Random(seed)
    model = Model()
    sent, expected = [], []
    with server.connect() as client:
        for _ in range(REQUESTS_PER_SEED):
            if choose.random() < 0.2:
                requests = [random_request(choose) for _ in range(choose.randrange(1, 5))]
                answers = [model.answer(request) for request in requests]
                sent += [[b"MULTI"], *requests, [b"EXEC"]]
                expected += [b"+OK\r\n", b"+QUEUED\r\n" * len(requests), b"*%d\r\n" % len(requests), *answers]
            else:
                sent.append(random_request(choose) if choose.random() < 0.95 else [b"DBSIZE"])
                expected.append(model.answer(sent[-1]))
            if choose.random() < 0.1:
                client.send(b"".join([encode_request(*request) for request in sent]))
                client.read(b"".join(expected))
                sent, expected = [], []
        client.send(b"".join([encode_request(*request) for request in sent]))
        client.read(b"".join(expected))
    eventually(lambda: server.store.latest_sequence == server.store.appended_sequence)
    assert {key: server.store.get(key) for key in KEYS} == {key: model.pairs.get(key) for key in KEYS}


def test_many_clients_count_together(server: RunningServer) -> None:
    """No increment is lost or answered twice, whatever pipelines they come in."""
    answers: list[int] = []

    def count(seed: int) -> None:
        choose = random.Random(seed)
        client = redis.Redis(port=server.port)
        for _ in range(10):
            pipeline = client.pipeline(transaction=choose.random() < 0.3)
            for _ in range(choose.randrange(1, 20)):
                pipeline.incr("shared")
            answers.extend(pipeline.execute())

    threads = [threading.Thread(target=count, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(1, len(answers) + 1))
