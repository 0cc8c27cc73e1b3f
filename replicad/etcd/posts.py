"""One request to one endpoint: a POST, and the JSON object that it is answered with.

What comes instead is either a refusal by etcd, which is an answer, too, or no answer. Of the latter the one
question is whether the request may have been executed: not if there never was a connection to send it over.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import aiohttp

from replicad.env.reasons import reason_of
from replicad.etcd.contexts import EtcdContext
from replicad.etcd.messages import Json
from replicad.etcd.options import EtcdOptions
from replicad.net.tls_errors import explain

ANSWER_BYTES_MAX = 1 << 20
_CODES = range(1, 17)
"""Of gRPC, without OK."""


class NoAnswer(Exception):
    """`never_sent`: not a byte of the request has left, so that it was surely not executed."""

    def __init__(self, reason: str, *, never_sent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.never_sent = never_sent


class EtcdRefusal(Exception):
    """An error that etcd answered with; `code` is gRPC's, the message may quote secrets that were sent."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Progress:
    """How far one request has come, as aiohttp's traces tell."""

    has_connection = False


class Posts:
    """The client of all endpoints, with its connections. Belongs to the event loop."""

    def __init__(self, options: EtcdOptions) -> None:
        self._context = EtcdContext(options) if options.endpoints[0].startswith("https:") else None
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def post(
        self, endpoint: str, path: str, body: Json, *, token: str | None, first_only: bool, seconds: float
    ) -> Json:
        """Raises NoAnswer, EtcdRefusal, and ConfigError for files that do not fit. `first_only`: of a stream
        of answers, the first."""
        if self._is_closed:
            raise NoAnswer("it is not asked any more: this client was closed", never_sent=True)
        context = True if self._context is None else self._context.current()
        session = self._session = self._session or _session()
        progress = _Progress()
        try:
            # A redirect would take the token elsewhere, and a transaction to who knows whom.
            async with (
                asyncio.timeout(seconds),
                session.post(
                    endpoint + path,
                    data=json.dumps(body).encode(),
                    headers={} if token is None else {"Authorization": token},
                    ssl=context,
                    allow_redirects=False,
                    trace_request_ctx=progress,
                ) as response,
            ):
                data = await _body_of(response.content, first_only)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = _words(error, seconds)
            if self._context is not None and self._context.refused is not None:
                reason += f" (files before these were used: {self._context.refused})"
            raise NoAnswer(reason, never_sent=not progress.has_connection) from None
        return _answer(response.status, data)

    async def close(self) -> None:
        self._is_closed = True
        if self._session is not None:
            await self._session.close()


def _session() -> aiohttp.ClientSession:
    traces = aiohttp.TraceConfig()
    traces.on_connection_create_end.append(_note_connection)
    traces.on_connection_reuseconn.append(_note_connection)
    return aiohttp.ClientSession(
        # No cache of names: a lookup for it is a task of its own, which outlives the call that began it.
        connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        trace_configs=[traces],
    )


async def _note_connection(_session: aiohttp.ClientSession, context: Any, _event: object) -> None:
    context.trace_request_ctx.has_connection = True


async def _body_of(content: aiohttp.StreamReader, first_only: bool) -> bytes:
    """The whole body, or its first line: the gateway ends each answer of a stream with a newline."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if first_only and b"\n" in piece:
            break
        if len(body) > ANSWER_BYTES_MAX:
            raise NoAnswer(f"its answer is longer than {ANSWER_BYTES_MAX} bytes: is this etcd?")
    return bytes(body.partition(b"\n")[0]) if first_only else bytes(body)


def _answer(status: int, data: bytes) -> Json:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise NoAnswer(_words_of_status(status, data))
    if status != 200 or "error" in answer:
        raise _refusal(answer) or NoAnswer(_words_of_status(status, data))
    return answer


def _refusal(answer: Json) -> EtcdRefusal | None:
    """Flat after a call; an object of its own in a stream, where 3.4 and 3.5 write `grpc_code` for `code`."""
    error = answer["error"] if isinstance(answer.get("error"), dict) else answer
    code, message = error.get("grpc_code", error.get("code")), error.get("message")
    if isinstance(code, bool) or not isinstance(code, int) or code not in _CODES:
        return None
    if not isinstance(message, str):
        return None
    return EtcdRefusal(code, message)


def _words_of_status(status: int, data: bytes) -> str:
    if 300 <= status < 400:
        return f"it redirects (HTTP {status}), which is not followed: name the endpoint behind it"
    if b"HTTP request to an HTTPS server" in data:
        return "it speaks TLS: begin the endpoints with https:"
    if b"CommonName" in data:
        # Where it has users and asks for certificates: it would take the name for a user.
        return "it takes no certificate with a common name: give cert_file one without"
    if status == 404:
        return "it has no such path (HTTP 404): is this etcd, 3.4 or later?"
    if status != 200:
        return f"it answers HTTP {status}: is this etcd, or a proxy before it?"
    return "its answer is not what etcd answers: is this etcd?"


def _words(error: Exception, seconds: float) -> str:
    """Never the error's own words about a request: they may quote its headers."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return explain(error.certificate_error)
        case aiohttp.ClientConnectorError():
            inner = error.os_error
            return explain(inner) if isinstance(inner, ssl.SSLError) else reason_of(inner)
        case TimeoutError():
            return f"no answer within {seconds:.3g} s"
        case aiohttp.ClientConnectionResetError():
            # Over TLS 1.3 a certificate is refused after the client's side of the handshake has ended.
            return "it closed the connection before it was asked: if it wants a certificate, see its log"
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection before it answered"
        case aiohttp.ClientPayloadError():
            return "its answer broke off"
        case OSError():
            inner = error.__cause__ if isinstance(error.__cause__, OSError) else error
            return explain(inner) if isinstance(inner, ssl.SSLError) else reason_of(inner)
        case aiohttp.ClientResponseError():
            return "its answer is not HTTP: is this etcd?"
        case aiohttp.InvalidURL() | ValueError():
            return "this cannot be connected to"
    return f"the request failed ({type(error).__name__})"
