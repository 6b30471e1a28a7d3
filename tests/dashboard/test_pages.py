"""Each page's frame: what it may load, what a caller's rights show of it, and what hostile names become."""

from __future__ import annotations

import json
from hashlib import sha256
from html import escape
from pathlib import Path

import pytest

from service.pages.assets import OWN, VENDOR, VENDORED, assets
from service.pages.shell import NAVIGATION
from tests.dashboard.conftest import HOSTILE, HTML, Guarded
from tests.dashboard.test_session import signed_in

PAGES = ("/ui/jobs", "/ui/jobs/new", "/ui/jobs/abc", "/ui/nothing")
MOST_BYTES = 250_000  # of a page with all that it loads


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_from_this_service_alone(guarded: Guarded, path: str) -> None:
    with signed_in(guarded) as client:
        answer = client.get(path)
        assert answer.status_code == (404 if path == "/ui/nothing" else 200)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        for forbidden in ("http://", "https://", "<style", "style=", "onclick", "javascript:"):
            assert forbidden not in answer.text
        assert "<script>" not in answer.text


def test_assets_are_kept_for_good_under_their_hash(guarded: Guarded) -> None:
    total = 0
    for name, content in assets().contents.items():
        answer = guarded.api.client.get(assets().address(name))  # the sign-in page needs them too
        assert answer.content == content
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}[Path(name).suffix]
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        total += len(content)
    assert total < MOST_BYTES
    for path in (f"/ui/static/0000/{OWN.name}", f"{assets().address('page.css')}x", "/ui/static/../guard.py"):
        assert guarded.api.client.get(path).status_code in (401, 404)
    assert guarded.api.client.get(f"/ui/static/{assets().hash}/..%2fshell.py").status_code == 404


def test_vendored_files_are_those_that_were_recorded() -> None:
    recorded = {
        name: digest
        for entry in json.loads((VENDOR / "vendor.json").read_text())
        for name, digest in entry["files"].items()
    }
    found = {str(file.relative_to(VENDOR)) for file in VENDOR.rglob("*") if file.is_file()} - {"vendor.json"}
    assert found == set(recorded)
    for name, digest in recorded.items():
        assert sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    assert set(VENDORED) <= found


def test_scripts_insert_no_markup() -> None:
    for file in OWN.glob("*.js"):
        for forbidden in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
            "sessionStorage",
        ):
            assert forbidden not in file.read_text(), file.name


def test_a_reader_sees_no_button_that_changes(guarded: Guarded) -> None:
    with signed_in(guarded, guarded.reader) as client:
        page = client.get("/ui/jobs/abc").text
        assert 'id="actions"' not in page
        assert 'content="jobs:read"' in page
        assert "New job" not in client.get("/ui/jobs").text
        assert "lacks the scope" in client.get("/ui/jobs/new").text
    with signed_in(guarded) as client:
        assert 'id="actions"' in client.get("/ui/jobs/abc").text
        page = client.get("/ui/jobs").text
        for _, address, text, _ in NAVIGATION:
            assert f'href="{address}"' in page
            assert text in page


def test_the_top_of_a_page_names_the_key(guarded: Guarded) -> None:
    key = guarded.services.keys.create(HOSTILE, project="ads")
    with signed_in(guarded, key) as client:
        page = client.get("/ui/jobs").text
    assert f"ads / key {escape(HOSTILE)} ({key.partition('.')[0]})" in page.replace("&#39;", "&#x27;")
    assert HOSTILE not in page


def test_hostile_addresses_are_text(guarded: Guarded) -> None:
    with signed_in(guarded) as client:
        for path in ("/ui/<script>x", "/ui/%3Cscript%3Ex", "/ui/jobs/%22%3E%3Cscript%3Ex", "/ui/jobs/a%2f<script>x"):
            answer = client.get(path)
            assert answer.headers["content-type"].startswith("text/html")
            assert "<script>x" not in answer.text
        page = client.get("/ui/sign-in", params={"next": '"><script>x'}).text
        assert "<script>x" not in page


def test_the_first_page(guarded: Guarded) -> None:
    with signed_in(guarded) as client:
        for path in ("/", "/ui", "/ui/"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs")
        assert client.get("/", headers={"Accept": "*/*"}).status_code == 404
        assert client.get("/ui/jobs", headers=HTML).headers["content-type"] == "text/html; charset=utf-8"
