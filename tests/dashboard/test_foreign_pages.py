"""Pages of somebody else, in the browser of a reader who is signed in: what they post is refused, and changes nothing.

One is at another port of the same host: browsers call that the same site, so the session's cookie goes with what it
sends. The other is at another name of this machine, which is another site: the cookie stays away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import func, select

from service.browser_sessions import COOKIE
from service.states import Kind, State
from service.tables import BrowserSessionRow
from tests.dashboard.conftest import Guarded
from tests.service.conftest import Api, wait_for

HOSTS = ("127.0.0.1", "localhost")
SILENT = "/silent"  # a page whose requests say of their origin no more than `null`
FORM = """([action, fields]) => {
  const form = document.createElement('form');
  Object.assign(form, {method: 'post', action});
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement('input');
    Object.assign(input, {type: 'hidden', name, value});
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}"""
FETCH = """([url, fields]) => fetch(url, {
  method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams(fields),
}).then(() => 'answered', error => error.name)"""
# With a header of ours, a browser asks first whether it may.
FETCH_WITH_TOKEN = """url => fetch(url, {
  method: 'POST', credentials: 'include', headers: {'X-CSRF-Token': 'x'}, body: '{}',
}).then(() => 'answered', error => error.name)"""
READ = "url => fetch(url, {credentials: 'include'}).then(answer => answer.text(), error => error.name)"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        policy = "no-referrer" if self.path == SILENT else "unsafe-url"
        body = f'<!doctype html><meta name="referrer" content="{policy}"><title>Win a prize</title><body>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    """Where somebody else serves empty pages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def foreign_page(context: BrowserContext, host: str, port: int, path: str = "/") -> Page:
    page = context.new_page()
    page.goto(f"http://{host}:{port}{path}")
    return page


def status_of_form(page: Page, url: str, **fields: str) -> int:
    """What a form of the page is answered; the page is back then."""
    home = page.url
    with page.expect_navigation(url=url) as navigation:
        page.evaluate(FORM, [url, fields])
    answer = navigation.value
    assert answer is not None
    page.goto(home)
    return answer.status


class Attacks:
    """What scripts of a page ask of the service, as the service saw it: browsers tell them nothing of an answer."""

    def __init__(self, page: Page, caplog: pytest.LogCaptureFixture) -> None:
        self._page = page
        self._log = caplog

    def answers(self, script: str, argument: object) -> list[tuple[str, int]]:
        """The requests that may change something, or ask whether they may, with the status of their answers."""
        with self._log.at_level(logging.INFO, "service.access"):
            self._log.clear()
            assert self._page.evaluate(script, argument) == "TypeError"
            found = wait_for(self._asked, "a request")
        return [(record.method, record.status) for record in found]

    def status_of_fetch(self, url: str, **fields: str) -> int:
        """What a POST with the reader's cookies is answered."""
        ((method, status),) = self.answers(FETCH, [url, fields])
        assert method == "POST"
        return status

    def is_asked_before(self, url: str) -> bool:
        """Whether the browser sends no POST with a header of ours, but asks first, and is not allowed."""
        ((method, status),) = self.answers(FETCH_WITH_TOKEN, url)
        return method == "OPTIONS" and status >= HTTPStatus.BAD_REQUEST

    def _asked(self) -> list[Any]:
        return [one for one in self._log.records if getattr(one, "method", "GET") in ("POST", "OPTIONS")]


def sessions(guarded: Guarded) -> int:
    with guarded.services.database.read() as session:
        return session.scalar(select(func.count()).select_from(BrowserSessionRow)) or 0


def cookie(context: BrowserContext) -> str | None:
    return next((one.get("value") for one in context.cookies() if one.get("name") == COOKIE), None)


@pytest.mark.parametrize("host", HOSTS)
def test_nobody_is_signed_in(
    guarded: Guarded, browser: Browser, foreign_port: int, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    before = sessions(guarded)
    sign_in = f"{guarded.url}/ui/sign-in"
    with browser.new_context() as context:
        for path in ("/", SILENT):
            page = foreign_page(context, host, foreign_port, path)
            assert status_of_form(page, sign_in, key=guarded.reader) == 403  # a key that is good
            assert Attacks(page, caplog).status_of_fetch(sign_in, key=guarded.reader) == 403
        assert cookie(context) is None
    assert sessions(guarded) == before


@pytest.mark.parametrize(("host", "refusal"), [("127.0.0.1", 403), ("localhost", 401)])
def test_a_reader_who_is_signed_in_stays_who_he_is(
    guarded: Guarded, browser: Browser, foreign_port: int, caplog: pytest.LogCaptureFixture, host: str, refusal: int
) -> None:
    job_id = guarded.services.jobs.enqueue(Kind.TRAIN, {"dataset": "clicks"}).id
    changes = [f"{guarded.url}/ui/sign-out", f"{guarded.url}/v1/jobs/{job_id}/cancel"]
    with browser.new_context() as context:
        own = context.new_page()
        own.goto(f"{guarded.url}/ui/jobs/{job_id}")
        own.get_by_label("API key").fill(guarded.key)
        own.get_by_role("button", name="Sign in").click()
        expect(own.locator("#state")).to_contain_text("queued")
        mine, before = cookie(context), sessions(guarded)
        for path in ("/", SILENT):
            page = foreign_page(context, host, foreign_port, path)
            assert status_of_form(page, f"{guarded.url}/ui/sign-in", key=guarded.reader) == 403
            for url in changes:
                # 403: the cookie came along, and the token did not. 401: not even the cookie.
                assert status_of_form(page, url) == refusal, url
                assert Attacks(page, caplog).status_of_fetch(url) == refusal, url
                assert Attacks(page, caplog).is_asked_before(url), url
            # Nor can it read the token.
            assert page.evaluate(READ, f"{guarded.url}/ui/jobs") == "TypeError"
        assert mine is not None
        assert (cookie(context), sessions(guarded)) == (mine, before)
        own.reload()
        expect(own.locator("#state")).to_contain_text("queued")
        expect(own.locator(".who")).to_contain_text(f"key all ({guarded.key.partition('.')[0]})")
        # The reader's own page can do it.
        own.once("dialog", lambda dialog: dialog.accept())
        own.get_by_role("button", name="Cancel").click()
        expect(own.locator("#state")).to_contain_text("cancelled")


@pytest.mark.parametrize("host", HOSTS)
def test_a_service_without_keys(
    make_api: Callable[..., Api], browser: Browser, foreign_port: int, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "clicks"}).id
    cancel = f"{api.url}/v1/jobs/{job_id}/cancel"
    with browser.new_context() as context:
        for path in ("/", SILENT):
            page = foreign_page(context, host, foreign_port, path)
            assert status_of_form(page, cancel) == 403
            assert Attacks(page, caplog).status_of_fetch(cancel) == 403
            assert Attacks(page, caplog).is_asked_before(cancel)
    assert api.services.jobs.get(job_id).state == State.QUEUED
