"""Sessions of browsers: a cookie that stands for an API key, so that no page ever holds the key itself.

    POST /ui/sign-in  key=...   ->  Set-Cookie: ctrfast_session=TOKEN; HttpOnly; SameSite=Strict

The table has the token's sha256, never the token. Each request reads the row with its key's: a session ends at its
time, when it is signed out, and at once when its key is revoked or expires. A request with the cookie that may change
something must carry `X-CSRF-Token`, which follows from the token and which the pages alone can read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from http.cookies import CookieError, SimpleCookie

from sqlalchemy import BindParameter, bindparam, delete, or_, select

from service.access import Caller, rights_of
from service.audit import Deed, record
from service.database import Database
from service.tables import ApiKeyRow, BrowserSessionRow

COOKIE = "ctrfast_session"
LIFE_S = 12 * 3600

_TOKEN_HASH: BindParameter[str] = bindparam("token_hash")
_NOW: BindParameter[float] = bindparam("now")
_CALLER = (  # made once: every request of a page asks it
    select(ApiKeyRow.id, ApiKeyRow.project, ApiKeyRow.scopes, ApiKeyRow.name)
    .join(BrowserSessionRow, BrowserSessionRow.key_id == ApiKeyRow.id)
    .where(
        BrowserSessionRow.token_hash == _TOKEN_HASH,
        BrowserSessionRow.expires_at > _NOW,
        ApiKeyRow.revoked_at.is_(None),
        or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > _NOW),
    )
)


class BrowserSessionStore:
    """Sessions in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, caller: Caller, deed: Deed) -> str:
        """Make a session for the caller of a key that was verified; its token. deed: for the audit log."""
        token = secrets.token_urlsafe(32)
        now = time.time()
        with self._database.write() as session:
            session.add(
                BrowserSessionRow(token_hash=_hash(token), key_id=caller.id, created_at=now, expires_at=now + LIFE_S)
            )
            record(session, deed)
        return token

    def caller(self, token: str) -> Caller | None:
        """Whose session this is; None where it, or its key, is good no longer."""
        with self._database.read() as session:
            asked = {"token_hash": _hash(token), "now": time.time()}
            key = session.connection().execute(_CALLER, asked).one_or_none()
        return None if key is None else Caller(key.id, key.project, rights_of(key.scopes.split()), key.name)

    def end(self, token: str) -> None:
        """End a session; nothing happens where there is none."""
        with self._database.write() as session:
            session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.token_hash == _hash(token)))

    def forget(self) -> None:
        """Remove sessions whose time is over."""
        with self._database.write() as session:
            session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.expires_at <= time.time()))


def session_token(cookies: str) -> str | None:
    """The token in a `Cookie` header."""
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def csrf_token(token: str) -> str:
    """What the pages of a session send beside its cookie."""
    return hmac.new(token.encode(errors="surrogateescape"), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_token(given: str, token: str) -> bool:
    """Whether a header has it."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), csrf_token(token).encode())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
