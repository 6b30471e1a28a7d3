"""API keys: `id.secret`. The id finds the row, argon2 checks the secret, and a good key is remembered for a while.

Checking costs tens of milliseconds on purpose; the memory (by sha256, never the key itself) keeps that off scoring.
"""

from __future__ import annotations

import hashlib
import secrets
import time

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select

from service.database import Database
from service.tables import ApiKeyRow

REMEMBER_S = 30.0
MAX_KEY_CHARACTERS = 200


class KeyStore:
    """API keys in the database, and those seen lately."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        self._seen: dict[str, tuple[str, float]] = {}

    def create(self, name: str) -> str:
        """Make a key and return it: the only time that it can be read."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._database.write() as session:
            session.add(ApiKeyRow(id=key_id, name=name, hash=self._hasher.hash(secret), created_at=time.time()))
        return f"{key_id}.{secret}"

    def count(self) -> int:
        """How many keys exist."""
        with self._database.read() as session:
            return session.scalar(select(func.count()).select_from(ApiKeyRow)) or 0

    def remembered(self, key: str) -> str | None:
        """The id of a key that was verified a short while ago, else None. Cheap."""
        seen = self._seen.get(_digest(key))
        return seen[0] if seen is not None and seen[1] > time.monotonic() else None

    def verify(self, key: str) -> str | None:
        """The id of a good key, else None. Slow on purpose: call it in a thread."""
        key_id, dot, secret = key.partition(".")
        if not dot or len(key) > MAX_KEY_CHARACTERS:
            return None
        with self._database.read() as session:
            row = session.get(ApiKeyRow, key_id)
        if row is None:
            return None
        try:
            self._hasher.verify(row.hash, secret)
        except (VerificationError, InvalidHashError):
            return None
        now = time.monotonic()
        self._seen = {digest: entry for digest, entry in self._seen.items() if entry[1] > now}
        self._seen[_digest(key)] = (row.id, now + REMEMBER_S)
        return row.id


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
