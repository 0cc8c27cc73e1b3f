"""Who may ask over HTTP: a user with the role `monitor`, by Basic or Bearer, or by certificate.

liveness and readiness say yes or no, and answer everybody
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from replicad.env.events import get_logger
from replicad.net.doors import peer_certificate
from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.users import User

log = get_logger()

OPEN_PATHS = frozenset({"/liveness", "/readiness", "/livez", "/readyz"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def checking(login: Login) -> Middleware:
    """The middleware that lets a request pass or refuses it."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_PATHS or Role.MONITOR in _who_comes(request, login).rights:
            return await handler(request)
        given = request.headers.get("Authorization", "")
        user = await _log_in(given, request.remote or "", login)
        if user is None:
            if given:
                log.warning("http.login_refused", client=request.remote)
            return web.Response(
                status=401,
                text="a user with the role monitor may ask that\n",
                headers={"WWW-Authenticate": 'Basic realm="replicad", charset="UTF-8"'},
            )
        if Role.MONITOR not in user.rights:
            return web.Response(status=403, text=f"{user.name} has not the role monitor\n")
        return await handler(request)

    return check


def _who_comes(request: web.Request, login: Login) -> User:
    transport = request.transport
    return login.who_comes(None if transport is None else peer_certificate(transport))


async def _log_in(header: str, host: str, login: Login) -> User | None:
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "basic":
            name, secret = _basic(value.strip())
            return login.quickly(name, secret) or await login.slowly(name, secret, host)
        case "bearer":
            # The token alone says whose it is. A header may be any bytes.
            token = value.strip().encode("utf-8", "surrogateescape")
            found = [login.quickly(name, token) for name in login.users.by_name]
            user = next((user for user in found if user is not None), None)
            return user or await login.slowly("", token, host)
    return None


def _basic(value: str) -> tuple[str, bytes]:
    """Nobody, for what is not the base64 of user and secret."""
    try:
        name, _, secret = base64.b64decode(value, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return "", b""
    return name.decode("utf-8", "replace"), secret
