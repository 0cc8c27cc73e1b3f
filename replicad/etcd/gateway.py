"""etcd by its JSON gateway, which every etcd of 3.4 or later has at its client port.

A call is a round: the endpoints are asked one after the other until one of them answers (`endpoints`). Not
every call may be asked again where the first endpoint may have executed it: see `_may_repeat`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from replicad.env.clock import Clock
from replicad.errors import ConfigError, EtcdError
from replicad.etcd import messages
from replicad.etcd.calls import Compare, EtcdLease, Operation, Pair, Put, Read, TxnOutcome
from replicad.etcd.endpoints import Endpoints
from replicad.etcd.messages import Json, MalformedAnswer
from replicad.etcd.options import EtcdOptions
from replicad.etcd.posts import EtcdRefusal, NoAnswer, Posts
from replicad.net.secrets import read_secret

T = TypeVar("T")

_NOT_FOUND = 5
_UNAUTHENTICATED = 16
_OF_THE_ENDPOINT = frozenset({1, 2, 4, 8, 10, 13, 14, 15})
"""Codes of gRPC that are about the endpoint and its moment (no leader, too slow, too busy): another one may
do better. All others are about the request, and the same everywhere."""

_LOGIN_IS_WANTED = (
    "invalid auth token",
    "user name is empty",
    "revision of auth store is old",
    "auth: revision in header is old",
    "auth: token",
)
"""What etcd 3.4 and 3.5 say of a token that they do not know, of none, and of one that is older than a change
of the users. The codes differ. Nothing was executed."""

_SHOWN_CHARACTERS_MAX = 200
"""Of what etcd says."""

_WHAT_TO_DO = {
    "permission denied": "give the user a role that may read and write the keys of the failover",
    "user name is empty": "it wants a login: set user and password_file",
    "requested lease not found": "the lease has ended",
    "database space exceeded": "see `etcdctl alarm list`",
    "connection closed": "where it asks for certificates, its own is for both sides (serverAuth, clientAuth)",
}
"""By what etcd says."""


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    path: str
    body: Json
    read: Callable[[Json, float], T]
    """Takes the answer, and when the request was sent; raises MalformedAnswer."""
    may_repeat: bool = True
    """At another endpoint, although the one before may have executed it."""
    first_only: bool = False
    """It is answered by a stream."""
    kept_in_term: Callable[[Json], int] | None = None
    """It counts only where the endpoint is still in this term when it has read: see `_confirm`."""
    has_password: bool = False
    """What is said of it may quote the password, and is shown nowhere."""


class Gateway:
    """The real implementation of `Etcd`. Belongs to the event loop; no I/O before the first call."""

    def __init__(self, options: EtcdOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._endpoints = Endpoints(options.endpoints)
        self._posts = Posts(options)
        self._token: str | None = None
        self._readable = b"\0"
        """A key that may be read, for that was allowed before; until then the one that was asked for last,
        and at first one that nobody has."""
        self._has_read = False

    async def authenticate(self) -> None:
        if self._options.user:
            await self._log_in(self._end_of_round())

    async def grant(self, ttl_seconds: int) -> EtcdLease:
        # One that nobody hears of ends by itself.
        return await self._ask(
            _Call("/v3/lease/grant", {"TTL": str(ttl_seconds)}, messages.granted_lease),
        )

    async def keep_alive(self, lease: int) -> EtcdLease:
        def read(answer: Json, sent_at: float) -> EtcdLease:
            return messages.kept_lease(answer, lease, sent_at)

        return await self._ask(
            _Call(
                "/v3/lease/keepalive",
                {"ID": str(lease)},
                read,
                first_only=True,
                kept_in_term=messages.kept_in_term,
            )
        )

    async def revoke(self, lease: int) -> None:
        def read(answer: Json, _: float) -> None:
            messages.check_revoked(answer)

        try:
            await self._ask(_Call("/v3/lease/revoke", {"ID": str(lease)}, read))
        except _RefusedError as error:
            if error.code != _NOT_FOUND:
                raise

    async def range(self, prefix: bytes) -> tuple[Pair, ...]:
        def read(answer: Json, _: float) -> tuple[Pair, ...]:
            return messages.pairs_of(answer)

        self._asks_for(prefix)
        pairs = await self._ask(_Call("/v3/kv/range", messages.range_request(prefix), read))
        self._was_read(prefix)
        return pairs

    async def txn(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> TxnOutcome:
        def read(answer: Json, _: float) -> TxnOutcome:
            return messages.outcome_of(answer, then, otherwise)

        readable = [each.key for each in compares]
        readable += [each.prefix for each in (*then, *otherwise) if isinstance(each, Read) and each.prefix]
        self._asks_for(*readable)
        body = messages.txn_request(compares, then, otherwise)
        outcome = await self._ask(
            _Call("/v3/kv/txn", body, read, may_repeat=_may_repeat(compares, then, otherwise))
        )
        self._was_read(*readable)
        return outcome

    async def close(self) -> None:
        await self._posts.close()

    def _asks_for(self, *keys: bytes) -> None:
        """So a node that was refused at first, and may read by now, keeps its lease alive."""
        if keys and keys[0] and not self._has_read:
            self._readable = keys[0]

    def _was_read(self, *keys: bytes) -> None:
        if keys and keys[0]:
            self._readable, self._has_read = keys[0], True

    # Rounds.

    def _end_of_round(self) -> float:
        """By when a call ends, a login and its repetition included."""
        seconds = len(self._endpoints) * self._options.request_seconds
        return asyncio.get_running_loop().time() + seconds

    async def _ask(self, call: _Call[T]) -> T:
        ends_at, token = self._end_of_round(), self._token
        try:
            return await self._round(call, token, ends_at)
        except _RefusedError as error:
            if not error.wants_login or not self._options.user:
                raise

        # The token ended, with a restart of the endpoint, by its age, or because users were changed; or there
        # was none, as etcd asked for none until now. Another call may have logged in meanwhile.
        if self._token == token:
            await self._log_in(ends_at)
        return await self._round(call, self._token, ends_at)

    async def _round(self, call: _Call[T], token: str | None, ends_at: float) -> T:
        """Raises EtcdError; _RefusedError where etcd answered so."""
        reasons = []
        for endpoint in self._endpoints.in_order():
            try:
                answer = await self._attempt(endpoint, call, token, ends_at)
            except NoAnswer as error:
                self._endpoints.failed(endpoint)
                reasons.append(f"{endpoint}: {error.reason}")
                if not (call.may_repeat or error.never_sent):
                    reasons.append("whether the transaction was executed is unknown, so no other is asked")
                    break
            except EtcdRefusal as error:
                self._endpoints.answered(endpoint)
                raise _refused(endpoint, error, token) from None
            else:
                self._endpoints.answered(endpoint)
                return answer
        else:
            # An etcd that began anew without its data answers no request with a token of before: it waits for
            # the index that the token names. Asked without one it says that it wants a login.
            if self._token == token:
                self._token = None
        raise EtcdError("; ".join(reasons))

    async def _attempt(self, endpoint: str, call: _Call[T], token: str | None, ends_at: float) -> T:
        """Raises NoAnswer, and EtcdRefusal where every endpoint would refuse."""
        loop = asyncio.get_running_loop()
        ends_at = min(ends_at, loop.time() + self._options.request_seconds)
        if (seconds := ends_at - loop.time()) <= 0:
            raise NoAnswer("no time was left for it", never_sent=True)

        # A lease lasts from a moment after this one, whatever became of the attempts before: they are not
        # what is answered here.
        sent_at = self._clock.awake()
        try:
            answer = await self._posts.post(
                endpoint, call.path, call.body, token=token, first_only=call.first_only, seconds=seconds
            )
            value = call.read(answer, sent_at)
            if call.kept_in_term is not None:
                await self._confirm(endpoint, call.kept_in_term(answer), token, ends_at - loop.time())
            return value
        except MalformedAnswer as error:
            raise NoAnswer(f"its answer is not what etcd answers: {error}") from None
        except ConfigError as error:
            raise EtcdError(str(error)) from None
        except EtcdRefusal as error:
            if error.code in _OF_THE_ENDPOINT and not _wants_login(error):
                shown = f"it fails with code {error.code}" if call.has_password else _said(error, token)
                raise NoAnswer(shown) from None
            raise

    async def _confirm(self, endpoint: str, term: int, token: str | None, seconds: float) -> None:
        """Raises NoAnswer unless the leader that kept a lease alive was the leader.

        A leader of etcd keeps leases alive by its own clock. Older releases, like 3.4.23, do not ask the
        other members then whether it still is the leader. One that stood still, and was replaced meanwhile,
        answers in its first moments that a lease has its whole time again. Its successor knows nothing of it,
        ends the lease seconds earlier, and gives the key to another.

        A read is only answered when a majority confirms the leader. Where the endpoint is still in the same
        term after it, there was no successor when the lease was kept alive.
        """
        answer = await self._posts.post(
            endpoint,
            "/v3/kv/range",
            messages.key_request(self._readable),
            token=token,
            first_only=False,
            seconds=max(0.0, seconds),
        )
        if messages.read_in_term(answer) != term:
            raise NoAnswer("etcd elected a leader meanwhile, and whether the lease was kept alive is unknown")

    # Logging in.

    async def _log_in(self, ends_at: float) -> None:
        """Reads the password each time: it may have been changed."""
        options = self._options
        assert options.password_file is not None
        try:
            password = read_secret(options.password_file)
        except ConfigError as error:
            raise EtcdError(str(error)) from None

        def read(answer: Json, _: float) -> str:
            return messages.token_of(answer)

        body = {"name": options.user, "password": password}
        call = _Call("/v3/auth/authenticate", body, read, has_password=True)
        try:
            self._token = await self._round(call, None, ends_at)
        except _RefusedError as error:
            if "authentication failed" in error.said:
                why = f"the user {options.user!r} or the password in {options.password_file} is wrong"
            elif "authentication is not enabled" in error.said:
                why = "etcd has no logins: enable them (`etcdctl auth enable`), or leave user out"
            else:
                why = f"the login of {options.user!r} is refused, with code {error.code}"
            raise EtcdError(f"{error.endpoint}: {why}") from None


class _RefusedError(EtcdError):
    """etcd answered that it will not."""

    def __init__(self, text: str, *, endpoint: str, code: int, said: str, wants_login: bool) -> None:
        super().__init__(text)
        self.endpoint = endpoint
        self.code = code
        self.said = said
        self.wants_login = wants_login


def _refused(endpoint: str, refusal: EtcdRefusal, token: str | None) -> _RefusedError:
    return _RefusedError(
        f"{endpoint}: {_said(refusal, token)}",
        endpoint=endpoint,
        code=refusal.code,
        said=refusal.message,
        wants_login=_wants_login(refusal),
    )


def _wants_login(refusal: EtcdRefusal) -> bool:
    return refusal.code == _UNAUTHENTICATED or any(text in refusal.message for text in _LOGIN_IS_WANTED)


def _said(refusal: EtcdRefusal, token: str | None) -> str:
    message = refusal.message if token is None else refusal.message.replace(token, "(token)")
    shown = " ".join(message.split())[:_SHOWN_CHARACTERS_MAX]
    advice = [f": {do}" for said, do in _WHAT_TO_DO.items() if said in shown]
    return "".join([shown, *advice])


def _may_repeat(
    compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation]
) -> bool:
    """Whether a transaction may be asked of a second endpoint although the first may have executed it.

    A claim is "if there is no leader, be the leader". When the first endpoint executed it and its answer was
    lost, the second one says that the comparison failed, and the caller concludes that another has won, where
    it has won itself. So a transaction that compares and writes is repeated only where it was never sent;
    otherwise the caller is told that it is unknown, and reads.

    Without comparisons nobody concludes anything, and a put that is done twice leaves what it leaves when
    done once. A deletion is not repeated: it could take away what was put after the first.
    """
    if all(isinstance(each, Read) for each in (*then, *otherwise)):
        return True
    return not compares and all(isinstance(each, Read | Put) for each in then)
