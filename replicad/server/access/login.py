"""Finds out who logs in: at once where that is quick, in a thread where scrypt is needed.

A wrong user and a wrong secret look the same, and take the same time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from replicad.net.certificates import Certificate
from replicad.server.access.attempts import FailedAttempts
from replicad.server.access.secrets import SECRET_BYTES_MAX, Password, nobodys_password
from replicad.server.access.users import User, Users

THREADS_MAX = 2
"""Each verification takes 32 MiB and a processor for some 50 ms."""
WAITING_MAX = 64
"""Verifications that wait for a thread, and of one address: who guesses leaves room for the others."""
WAITING_OF_HOST_MAX = 8


class Login:
    """Belongs to the event loop."""

    def __init__(self, users: Users, *, by_certificate: bool = False) -> None:
        self.users = users
        self.by_certificate = by_certificate
        """Whether a client's certificate logs it in."""
        self.refused_logins = 0
        self.refused_commands = 0
        self._attempts = FailedAttempts()
        self._nobody: Password | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._waiting: dict[tuple[User | None, bytes], asyncio.Task[bool]] = {}
        self._waiting_of: Counter[str] = Counter()
        """By host."""

    def who_comes(self, certificate: Certificate | None) -> User:
        """Who a connection is before AUTH."""
        user = None
        if certificate is not None and self.by_certificate:
            user = self.users.of_certificate(certificate.names)
        return user or self.users.anonymous

    def quickly(self, name: str, secret: bytes) -> User | None:
        """Who it is, where no slow look is needed; None: not known, or not yet."""
        user = self.users.by_name.get(name)
        if user is None or user.secret is None or len(secret) > SECRET_BYTES_MAX:
            return None
        if isinstance(user.secret, Password):
            return user if user.secret.was_right(secret) else None
        return user if user.secret.is_right(secret) else None

    async def slowly(self, name: str, secret: bytes, host: str) -> User | None:
        """Who it is, or None after as long as this address has to wait by now."""
        user = self.users.by_name.get(name)
        if await self._is_right(user, secret, host) and user is not None and self.users.still_has(user):
            self._attempts.succeeded(host)
            return user
        self.refused_logins += 1
        await asyncio.sleep(self._attempts.failed(host, asyncio.get_running_loop().time()))
        return None

    async def _is_right(self, user: User | None, secret: bytes, host: str) -> bool:
        """Who comes many times at once, as after a restart, is verified once."""
        if len(secret) > SECRET_BYTES_MAX:
            return False
        key = user, secret
        task = self._waiting.get(key)
        if task is None:
            if len(self._waiting) >= WAITING_MAX or self._waiting_of[host] >= WAITING_OF_HOST_MAX:
                return False
            task = self._waiting[key] = asyncio.get_running_loop().create_task(self._verify(user, secret))
            self._waiting_of[host] += 1
            task.add_done_callback(lambda _: self._verified(key, host))
        return await asyncio.shield(task)

    def _verified(self, key: tuple[User | None, bytes], host: str) -> None:
        del self._waiting[key]
        self._waiting_of[host] -= 1
        if not self._waiting_of[host]:
            del self._waiting_of[host]

    async def _verify(self, user: User | None, secret: bytes) -> bool:
        # Without any password among the users nothing is slow, and there is no time to hide in.
        if not any(isinstance(each.secret, Password) for each in self.users.by_name.values()):
            return False
        password = user.secret if user is not None and isinstance(user.secret, Password) else None
        loop = asyncio.get_running_loop()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="login")
        if password is None:
            if self._nobody is None:
                self._nobody = await loop.run_in_executor(self._threads, nobodys_password)
            await loop.run_in_executor(self._threads, self._nobody.is_right, secret)
            return False
        return await loop.run_in_executor(self._threads, password.is_right, secret)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
