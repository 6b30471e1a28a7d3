"""Sign-in with a key, the session's cookie, the CSRF token, and how a session ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from service.browser_sessions import COOKIE
from service.tables import ApiKeyRow, AuditRow, BrowserSessionRow
from tests.dashboard.conftest import HTML, Guarded
from tests.service.conftest import Api
from tests.service.test_api_jobs import TRAIN, problem


@contextmanager
def signed_in(guarded: Guarded, key: str | None = None) -> Iterator[httpx.Client]:
    """A browser with a session, which does not go where it is sent."""
    with httpx.Client(base_url=guarded.url, timeout=120, headers=HTML) as client:
        answer = client.post("/ui/sign-in", data={"key": guarded.key if key is None else key})
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs"), answer.text
        yield client


def post_key(guarded: Guarded, **options: Any) -> httpx.Response:
    """The answer to a key that is good."""
    return httpx.post(f"{guarded.url}/ui/sign-in", data={"key": guarded.key}, timeout=120, **options)


def csrf_token(client: httpx.Client) -> str:
    found = re.search(r'name="csrf-token" content="(\w+)"', client.get("/ui/jobs").text)
    assert found is not None
    return found.group(1)


def test_whoever_asks_for_a_page_is_sent_to_sign_in(guarded: Guarded) -> None:
    with httpx.Client(base_url=guarded.url, timeout=120, headers=HTML) as client:
        for path, wanted in (
            ("/", "/"),
            ("/ui/jobs?state=running", "/ui/jobs%3Fstate%3Drunning"),
            ("/ui/jobs/a%0d%0ab", "/ui/jobs/a%250D%250Ab"),
        ):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/sign-in?next={wanted}")
        problem(client.get("/v1/jobs"), 401, "unauthorized")
        problem(client.post("/ui/sign-out"), 401, "unauthorized")
        for path in ("/", "/ui/jobs"):
            problem(client.get(path, headers={"Accept": "application/json"}), 401, "unauthorized")


def test_the_form_refuses_what_is_no_good_key(guarded: Guarded) -> None:
    revoked = guarded.services.keys.create("gone")
    guarded.services.keys.revoke(revoked.partition(".")[0])
    with httpx.Client(base_url=guarded.url, timeout=120) as client:
        for key in (
            "",
            "x",
            revoked,
            guarded.key[:-2],
            "<b>",
            "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        ):
            answer = client.post("/ui/sign-in", data={"key": key})
            assert answer.status_code == 401
            assert "is not known, was revoked or has expired" in answer.text
            assert "set-cookie" not in answer.headers
            assert "<b>" not in answer.text
        assert client.post("/ui/sign-in", content=b"\xff\xfe").status_code == 401


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_cookie(guarded: Guarded, encrypted: bool) -> None:
    host = guarded.url.removeprefix("http://")
    headers = {"Origin": f"https://{host}"} if encrypted else {}
    answer = post_key(guarded, headers=headers)
    name, *flags = answer.headers["set-cookie"].split("; ")
    assert name.startswith(f"{COOKIE}=")
    assert set(flags) == {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200", *(["Secure"] if encrypted else [])}
    assert guarded.key not in name


def test_where_one_goes_after_it(guarded: Guarded) -> None:
    for following, place in (
        ("/ui/jobs/abc", "/ui/jobs/abc"),
        ("https://evil.example/", "/ui/jobs"),
        ("//evil.example/ui/", "/ui/jobs"),
        ("/v1/jobs", "/ui/jobs"),
    ):
        answer = post_key(guarded, params={"next": following})
        assert answer.headers["location"] == place


def test_another_sites_form_signs_nobody_in(guarded: Guarded) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = post_key(guarded, headers=headers)
        problem(answer, 403, "foreign_caller")
        assert "set-cookie" not in answer.headers
    own = {"Origin": "http://proxied.example", "Sec-Fetch-Site": "same-origin"}
    assert post_key(guarded, headers=own).status_code == 303


def test_a_change_needs_the_sessions_token(guarded: Guarded) -> None:
    with signed_in(guarded) as client, signed_in(guarded) as other:
        body = {"kind": "train", "spec": TRAIN}
        assert client.get("/v1/jobs").status_code == 200
        for token in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": csrf_token(other)}):
            problem(client.post("/v1/jobs", json=body, headers=token), 403, "csrf_token")
            problem(client.post("/ui/sign-out", headers=token), 403, "csrf_token")
        problem(client.put("/v1/models/m/aliases/a", json={"version": 1}), 403, "csrf_token")
        answer = client.post("/v1/jobs", json=body, headers={"X-CSRF-Token": csrf_token(client)})
        assert answer.json()["code"] != "csrf_token"  # there is no such dataset, but it was looked for
        with_key = httpx.post(f"{guarded.url}/v1/jobs", json=body, headers={"X-API-Key": guarded.key}, timeout=120)
        assert with_key.json()["code"] == answer.json()["code"]


def test_sign_out_ends_the_session_itself(guarded: Guarded) -> None:
    with signed_in(guarded) as client:
        token = client.cookies[COOKIE]
        answer = client.post("/ui/sign-out", headers={"X-CSRF-Token": csrf_token(client)})
        assert answer.status_code == 204
        assert COOKIE not in client.cookies
    problem(httpx.get(f"{guarded.url}/v1/jobs", cookies={COOKIE: token}, timeout=120), 401, "unauthorized")


@pytest.mark.parametrize("end", ["revoked", "expired", "old"])
def test_a_session_ends_with_its_key_and_its_time(guarded: Guarded, end: str) -> None:
    services = guarded.services
    key = services.keys.create("short")
    key_id = key.partition(".")[0]
    row, mine = (ApiKeyRow, ApiKeyRow.id) if end == "expired" else (BrowserSessionRow, BrowserSessionRow.key_id)
    with signed_in(guarded, key) as client:
        assert client.get("/v1/jobs").status_code == 200
        if end == "revoked":
            services.keys.revoke(key_id)
        else:
            with services.database.write() as session:
                session.execute(update(row).where(mine == key_id).values(expires_at=time.time()))
        problem(client.get("/v1/jobs"), 401, "unauthorized")


def test_the_database_has_no_token_and_forgets_old_sessions(guarded: Guarded) -> None:
    services = guarded.services
    with signed_in(guarded) as client, services.database.read() as session:
        token = client.cookies[COOKIE]
        assert token not in session.scalars(select(BrowserSessionRow.token_hash)).all()
        assert session.scalars(select(AuditRow.route).order_by(AuditRow.id.desc())).first() == "/ui/sign-in"
    with services.database.write() as session:
        session.execute(update(BrowserSessionRow).values(expires_at=time.time() - 1))
    services.browser_sessions.forget()
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(BrowserSessionRow)) == 0


def test_guesses_are_slowed_down(make_api: Callable[..., Api]) -> None:
    api = make_api(require_key=True, rate_per_s=0.01)
    answers = [api.client.post("/ui/sign-in", data={"key": f"{'0' * 12}.x"}).status_code for _ in range(3)]
    assert 429 in answers


def test_without_a_key_nobody_signs_in(make_api: Callable[..., Api]) -> None:
    api = make_api()
    answer = api.client.get("/ui/sign-in")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs")
    page = api.client.get("/ui/jobs", headers=HTML)
    assert page.status_code == 200
    assert "Sign out" not in page.text
    refused = api.client.post("/v1/jobs", json={}, headers={"Origin": "http://evil.example", "Cookie": f"{COOKIE}=x"})
    problem(refused, 403, "foreign_caller")
    problem(api.client.get("/ui/jobs", headers={"Host": "evil.example"}), 403, "foreign_caller")
