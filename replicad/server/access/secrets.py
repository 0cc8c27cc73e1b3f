"""Secrets of users: random tokens, stored as SHA-256, and passwords of people, stored as scrypt.

A token has at least 128 random bits, so a fast digest is as good as a slow one. A password is verified
slowly, once: a process remembers it as an HMAC under a key of its own, so that many reconnects cost nothing.
The parameters of scrypt are those that RFC 7914 and OWASP name for logins (N = 2^15, r = 8, p = 1: 32 MiB).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from replicad.errors import ConfigError

TOKEN_BYTES = 24
SALT_BYTES = 16
HASH_BYTES = 32
LOG_N, BLOCK, PARALLEL = 15, 8, 1
_MEMORY_MAX = 256 << 20
_SCRYPT = re.compile(r"scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")
TOKEN_LENGTH_MIN = 16
SECRET_BYTES_MAX = 1024
"""More is not looked at when somebody logs in."""
_SHA256_OF_NOTHING = hashlib.sha256(b"").hexdigest()
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """The line for a `password_file`; another one each time."""
    salt = secrets.token_bytes(SALT_BYTES)
    made = _Scrypt(LOG_N, BLOCK, PARALLEL, salt, b"").digest_of(password.encode())
    return f"scrypt$ln={LOG_N},r={BLOCK},p={PARALLEL}${_encode(salt)}${_encode(made)}"


class Token:
    is_slow = False

    def __init__(self, sha256: str) -> None:
        if _SHA256.fullmatch(sha256) is None:
            raise ConfigError("token_sha256 is 64 hexadecimal digits: replicad users token makes one")
        if sha256.lower() == _SHA256_OF_NOTHING:
            raise ConfigError("token_sha256 is that of an empty token: the file it was made from was empty")
        self._sha256 = bytes.fromhex(sha256)

    def is_right(self, secret: bytes) -> bool:
        return hmac.compare_digest(hashlib.sha256(secret).digest(), self._sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and other._sha256 == self._sha256

    def __hash__(self) -> int:
        return hash(self._sha256)


class Password:
    """`is_right` takes about 50 ms, and may be called in any thread; `was_right` is quick."""

    is_slow = True
    _key = secrets.token_bytes(32)

    def __init__(self, line: str) -> None:
        self._scrypt = _parse(line)
        self._known: bytes | None = None

    def was_right(self, secret: bytes) -> bool:
        """Whether it is the one that was found right before."""
        return self._known is not None and hmac.compare_digest(self._known, self._mark(secret))

    def is_right(self, secret: bytes) -> bool:
        if not hmac.compare_digest(self._scrypt.digest_of(secret), self._scrypt.digest):
            return False
        self._known = self._mark(secret)
        return True

    def _mark(self, secret: bytes) -> bytes:
        return hmac.digest(self._key, secret, "sha256")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and other._scrypt == self._scrypt

    def __hash__(self) -> int:
        return hash(self._scrypt)


Secret = Token | Password


def nobodys_password() -> Password:
    """One that nothing is right for: verified where there is no such user, so that it takes as long."""
    return Password(hash_password(new_token()))


@dataclass(frozen=True, slots=True)
class _Scrypt:
    log_n: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    def digest_of(self, secret: bytes) -> bytes:
        return hashlib.scrypt(
            secret,
            salt=self.salt,
            n=1 << self.log_n,
            r=self.block,
            p=self.parallel,
            maxmem=_MEMORY_MAX,
            dklen=HASH_BYTES,
        )


def _parse(line: str) -> _Scrypt:
    match = _SCRYPT.fullmatch(line)
    if match is None:
        raise ConfigError("this is not a line of `replicad users hash`; passwords are not stored as they are")
    log_n, block, parallel = map(int, match.group(1, 2, 3))
    try:
        salt, digest = (base64.b64decode(text, validate=True) for text in match.group(4, 5))
    except binascii.Error as error:
        raise ConfigError(f"the line of the password is damaged: {error}") from None
    if not (10 <= log_n <= 20 and 1 <= block <= 32 and 1 <= parallel <= 8 and len(digest) == HASH_BYTES):
        raise ConfigError("the parameters of scrypt are out of range")
    if 128 * block << log_n > _MEMORY_MAX // 2:
        raise ConfigError("scrypt would take more memory than this program gives it")
    return _Scrypt(log_n, block, parallel, salt, digest)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
