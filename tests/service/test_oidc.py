"""Tokens of an identity provider: a key set made here, served on loopback, and every way to be no good token."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pydantic import ValidationError

import service.oidc
from service.access import Right
from service.oidc import TokenVerifier
from service.problems import NotReadyError
from service.processes import demand_key_unless_loopback
from service.settings import Settings
from tests.service.conftest import Api, quick_settings
from tests.service.test_api_jobs import problem

ISSUER, AUDIENCE = "https://id.example", "ctrfast"
RSA_KEY, EC_KEY, FOREIGN_KEY = (
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
)
SECRET = "s" * 40


class Provider:
    """Serves a key set; counts how often it is asked."""

    def __init__(self) -> None:
        keys = [
            {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa"},
            {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec"},
            {"kty": "oct", "k": "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzcw", "kid": "secret"},
        ]
        self.content = json.dumps({"keys": keys}).encode()
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(provider.content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def verifier(provider: Provider) -> TokenVerifier:
    return TokenVerifier(ISSUER, AUDIENCE, provider.url)


def token(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    """A good token but for the changes; None takes a claim away."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "exp": time.time() + 600,
        "scope": "openid jobs:read score",
        "ctrfast_project": "ads",
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={} if kid is None else {"kid": kid})


def test_good_tokens(verifier: TokenVerifier) -> None:
    for text in (token(), token(EC_KEY, "ES256", "ec"), token(aud=["other", AUDIENCE]), token(algorithm="RS512")):
        caller = verifier.verify(text)
        assert caller is not None
        assert (caller.project, caller.rights) == ("ads", {Right.JOBS_READ, Right.SCORE})
        assert 0 < len(caller.id) <= 32


def test_who_is_asking(verifier: TokenVerifier) -> None:
    callers = [verifier.verify(token(**changes)) for changes in ({}, {}, {"sub": "eve"}, {"ctrfast_project": "b"})]
    ids = [caller.id for caller in callers if caller is not None]
    assert len(ids) == 4
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_tokens_that_are_not_good(verifier: TokenVerifier) -> None:
    good = token()
    head, body, signature = good.split(".")
    unsigned = jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "ada"}, None, "none", headers={"kid": "rsa"})  # type: ignore[arg-type]
    wrong = {
        "expired": token(exp=time.time() - 60),
        "no expiry": token(exp=None),
        "not yet": token(nbf=time.time() + 600),
        "another issuer": token(iss="https://evil.example"),
        "another audience": token(aud="other"),
        "no audience": token(aud=None),
        "no subject": token(sub=None),
        "no project": token(ctrfast_project=None),
        "a bad project": token(ctrfast_project="../x"),
        "another key": token(FOREIGN_KEY),
        "an unknown key": token(FOREIGN_KEY, kid="other"),
        "no key id": token(kid=None),
        "another kind of key": token(EC_KEY, "ES256", "rsa"),
        "a shared secret": token(SECRET, "HS256", "secret"),
        "unsigned": unsigned,
        "unsigned, cut": f"{head}.{body}.",
        "another body": f"{head}.{token(sub='eve').split('.')[1]}.{signature}",
        "no token": "a.b.c",
        "empty": "..",
    }
    assert verifier.verify(good) is not None
    assert {name: verifier.verify(text) for name, text in wrong.items()} == dict.fromkeys(wrong)


def test_the_provider_is_asked_seldom(
    verifier: TokenVerifier, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        assert verifier.verify(token(FOREIGN_KEY, kid=str(number))) is None
        assert verifier.verify(token()) is not None
    assert provider.asked == 1
    monkeypatch.setattr(service.oidc, "_ASK_AGAIN_S", 0.0)
    provider.content = b"not a key set"
    assert verifier.verify(token(FOREIGN_KEY, kid="new")) is None
    assert provider.asked == 2
    assert verifier.verify(token()) is not None  # the keys that are known stay


def test_a_provider_that_does_not_answer() -> None:
    verifier = TokenVerifier(ISSUER, AUDIENCE, "http://127.0.0.1:1/keys")
    with pytest.raises(NotReadyError):
        verifier.verify(token())


def test_a_token_opens_its_project(make_api: Callable[..., Api], provider: Provider) -> None:
    api = make_api(require_key=True, oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_jwks_url=provider.url)

    def ask(path: str, text: str) -> Any:
        return api.client.get(path, headers={"Authorization": f"Bearer {text}"})

    job = api.services.jobs.of("ads").enqueue("train", {})  # type: ignore[arg-type]
    assert ask(f"/v1/jobs/{job.id}", token()).status_code == 200
    assert ask(f"/v1/jobs/{job.id}", token(ctrfast_project="other")).status_code == 404
    problem(ask("/v1/models", token()), 403, "missing_scope")
    problem(ask("/v1/jobs", token(exp=1)), 401, "unauthorized")


def test_tokens_stand_in_for_keys_at_the_start(home: Path) -> None:
    changes = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks_url": "https://id.example/keys"}
    settings = quick_settings(home, require_key=None, **changes)
    assert demand_key_unless_loopback(settings, "0.0.0.0").require_key is True


def test_settings_go_together() -> None:
    with pytest.raises(ValidationError, match="go together"):
        Settings(oidc_issuer=ISSUER)
    for url in ("http://id.example/keys", "file:///etc/passwd"):
        with pytest.raises(ValidationError, match="https:"):
            Settings(oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_jwks_url=url)
