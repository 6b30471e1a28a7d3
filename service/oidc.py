"""Bearer tokens of an OpenID Connect provider beside our own keys: JWTs, checked with the provider's public keys.

Checked: signature (asymmetric algorithms alone), issuer, audience, expiry, and that there is a subject. The claims say
who it is: `ctrfast_project` names the project, `scope` holds scopes with a space between; scopes that are not ours are
passed over. The key set is fetched when first needed, again every `_KEEP_S`, and for a key id that it lacks at most
every `_ASK_AGAIN_S`, so that nobody can make this service ask the provider at will.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

from service.access import Caller, Right
from service.problems import NotReadyError
from service.projects import require_project_name

log = logging.getLogger("service.api")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KEY_TYPES = frozenset({"RSA", "EC", "OKP"})  # a shared secret in a public key set would be nobody's
_LEEWAY_S = 30
_KEEP_S = 300.0
_ASK_AGAIN_S = 30.0
_TIMEOUT_S = 5.0


class TokenVerifier:
    """Checks tokens of one issuer.

    Args:
        issuer: the `iss` that a token must have.
        audience: what its `aud` must hold.
        jwks_url: where the provider publishes its keys.
    """

    def __init__(self, issuer: str, audience: str, jwks_url: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._url = jwks_url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._tried_at = float("-inf")
        self._fetched_at = float("-inf")
        self._lock = threading.Lock()

    def verify(self, token: str) -> Caller | None:
        """The caller with a good token, else None. May ask the provider: call it in a thread.

        Raises:
            NotReadyError: the provider's keys have never been read.
        """
        try:
            key = self._key(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(ALGORITHMS),
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return _caller(claims)
        except (jwt.PyJWTError, ValueError, TypeError):  # TypeError: the key is of another kind than the algorithm
            return None

    def _key(self, key_id: str) -> jwt.PyJWK | None:
        with self._lock:
            now = time.monotonic()
            is_old = now - self._fetched_at > _KEEP_S
            if (is_old or key_id not in self._keys) and now - self._tried_at > _ASK_AGAIN_S:
                self._tried_at = now
                self._fetch(now)
            if not self._keys:
                raise NotReadyError("The identity provider's keys cannot be read. Try again later.")
            return self._keys.get(key_id)

    def _fetch(self, now: float) -> None:
        try:
            answer = httpx.get(self._url, timeout=_TIMEOUT_S, follow_redirects=False).raise_for_status()
            found = jwt.PyJWKSet.from_dict(answer.json())
        except (httpx.HTTPError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
            log.warning("the identity provider's keys cannot be read: %s", type(error).__name__)
            return  # those that are known stay
        self._keys = {key.key_id: key for key in found.keys if key.key_id and key.key_type in _KEY_TYPES}
        self._fetched_at = now


def _caller(claims: Mapping[str, Any]) -> Caller:
    project = require_project_name(str(claims.get("ctrfast_project", "")))
    scope = claims.get("scope", "")
    names = scope.split() if isinstance(scope, str) else []
    who = "\n".join((claims["iss"], claims["sub"], project))
    return Caller(
        id=f"oidc-{hashlib.sha256(who.encode(errors='replace')).hexdigest()[:24]}",
        project=project,
        rights=frozenset(Right(name) for name in names if name in set(Right)),
    )
