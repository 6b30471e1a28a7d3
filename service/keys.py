"""API keys: `id.secret`. The id finds the row, argon2 checks the secret, and a good key is remembered for a while.

Checking costs tens of milliseconds on purpose; the memory (by sha256, never the key itself) keeps that off scoring.
What another process changes (a revocation) is noticed when the memory lapses: after `REMEMBER_S` at most. The row is
read again then, the secret is not checked again: under load, every request that came meanwhile would do it too. When a
key was last used is kept in memory too, and written now and then, so that no request waits for a write of its own.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, or_, select, update

from service.access import USUAL_RIGHTS, Caller, Right, rights_of, rights_text
from service.audit import Deed, record
from service.database import Database
from service.projects import DEFAULT_PROJECT, require_project_name
from service.tables import ApiKeyRow

REMEMBER_S = 30.0
MAX_KEY_CHARACTERS = 200


@dataclass(frozen=True)
class _Seen:
    caller: Caller
    until: float  # monotonic
    expires_at: float  # since 1970
    hash: str  # of the row that the key was checked against


class KeyStore:
    """API keys in the database, and those seen lately."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        self._seen: dict[str, _Seen] = {}
        self._one_check = threading.Lock()  # requests with the same new key come together: one of them checks it
        self._used: dict[str, float] = {}

    def create(
        self,
        name: str,
        *,
        rights: Iterable[Right] = USUAL_RIGHTS,
        project: str = DEFAULT_PROJECT,
        expires_at: float | None = None,
    ) -> str:
        """Make a key and return it: the only time that it can be read.

        Args:
            name: what it is for.
            rights: what it may do.
            project: whose things it sees.
            expires_at: seconds since 1970 after which it is refused.
        """
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = ApiKeyRow(
            id=key_id,
            name=name,
            hash=self._hasher.hash(secret),
            project=require_project_name(project),
            scopes=rights_text(rights),
            created_at=time.time(),
            expires_at=expires_at,
        )
        with self._database.write() as session:
            session.add(row)
            record(session, Deed.on_the_command_line("create-key", key_id, row.project))
        return f"{key_id}.{secret}"

    def revoke(self, key_id: str) -> bool:
        """Refuse a key from now on; False where there is none. Twice changes nothing."""
        with self._database.write() as session:
            row = session.get(ApiKeyRow, key_id, with_for_update=True)
            if row is None:
                return False
            if row.revoked_at is None:
                row.revoked_at = time.time()
                record(session, Deed.on_the_command_line("revoke-key", key_id, row.project))
        self._seen = {digest: seen for digest, seen in self._seen.items() if seen.caller.id != key_id}
        return True

    def all(self) -> Sequence[ApiKeyRow]:
        """All keys, oldest first, also those that are refused now."""
        with self._database.read() as session:
            return session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)).all()

    def names(self, ids: Collection[str]) -> Mapping[str, str]:
        """The names of keys by id, also of keys that are refused now. What is no key's id is left out."""
        with self._database.read() as session:
            rows = session.execute(select(ApiKeyRow.id, ApiKeyRow.name).where(ApiKeyRow.id.in_(ids))).all()
        return {row.id: row.name for row in rows}

    def count(self) -> int:
        """How many keys are good now."""
        good = select(func.count()).select_from(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None))
        with self._database.read() as session:
            return (
                session.scalar(good.where(or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > time.time()))) or 0
            )

    def remembered(self, key: str) -> Caller | None:
        """The caller with a key that was verified a short while ago, else None. Cheap."""
        seen = self._seen.get(_digest(key))
        now = time.time()
        if seen is None or seen.until <= time.monotonic() or seen.expires_at <= now:
            return None
        self._used[seen.caller.id] = now
        return seen.caller

    def verify(self, key: str) -> Caller | None:
        """The caller with a good key, else None. Slow on purpose: call it in a thread."""
        key_id, dot, secret = key.partition(".")
        if not dot or len(key) > MAX_KEY_CHARACTERS or not key_id.isalnum():
            return None
        with self._database.read() as session:
            row = session.get(ApiKeyRow, key_id)
        now = time.time()
        digest = _digest(key)
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            self._seen.pop(digest, None)
            return None
        caller = Caller(row.id, row.project, rights_of(row.scopes.split()), row.name)
        with self._one_check:
            seen = self._seen.get(digest)
            if (seen is None or seen.hash != row.hash) and not self._is_secret(row.hash, secret):
                return None
            until = time.monotonic() + REMEMBER_S
            self._seen[digest] = _Seen(caller, until, row.expires_at or float("inf"), row.hash)
        self._used[row.id] = now
        return caller

    def _is_secret(self, hashed: str, secret: str) -> bool:
        try:
            return self._hasher.verify(hashed, secret)
        except (VerificationError, InvalidHashError):
            return False

    def write_uses(self) -> None:
        """Write when keys were last used; the service calls it once a minute."""
        used, self._used = self._used, {}
        if not used:
            return
        with self._database.write() as session:
            for key_id, at in used.items():
                session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at=at))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
