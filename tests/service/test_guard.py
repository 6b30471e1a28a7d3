"""Who may ask what: keys, Host and Origin, body sizes, request ids; and errors that tell nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi.routing import APIRoute

from service.keys import KeyStore
from tests.service.conftest import Api, wait_for
from tests.service.test_api_jobs import problem


def test_without_a_key_only_local_hosts(api: Api) -> None:
    port = api.url.rsplit(":", 1)[1]
    for host in ("localhost", "127.0.0.1", f"127.0.0.1:{port}", "[::1]:8000", "LOCALHOST:1"):
        assert api.client.get("/v1/jobs", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil", "[", "127.0.0.1@evil", "2130706433"):
        problem(api.client.get("/v1/jobs", headers={"Host": host}), 403, "foreign_caller")


def test_without_a_key_only_our_own_origin_changes_things(api: Api) -> None:
    host = api.url.removeprefix("http://")
    body = {"kind": "sweep", "spec": {}}
    for origin, status in (
        (f"http://{host}", 422),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost:1", 403),
    ):
        assert api.client.post("/v1/jobs", json=body, headers={"Origin": origin}).status_code == status
    assert api.client.get("/v1/jobs", headers={"Origin": "http://evil.example"}).status_code == 200


def test_a_key_is_demanded(make_api: Callable[..., Api]) -> None:
    api = make_api(require_key=True)
    key = KeyStore(api.services.database).create("test")
    get = api.client.get
    answer = get("/v1/jobs")
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"authorization": f"bearer {key}"}):
        assert get("/v1/jobs", headers={**headers, "Host": "anything.example"}).status_code == 200
    name, secret = key.split(".")
    for wrong in (key + "x", f"{name}.", secret, f".{secret}", f"{'0' * 12}.{secret}", "x" * 5000, "\xff.\xfe"):
        assert get("/v1/jobs", headers={"X-API-Key": wrong.encode("latin-1")}).status_code == 401
    assert get("/v1/jobs", headers={"Authorization": f"Basic {key}"}).status_code == 401


OPEN = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}


def test_every_route_but_those_of_health_demands_the_key(make_api: Callable[..., Api]) -> None:
    api = make_api(require_key=True)
    paths = api.app.openapi()["paths"]
    assert len(paths) > 15
    for path, operations in paths.items():
        for method in operations:
            status = api.client.request(method, path.replace("{", "").replace("}", "")).status_code
            assert status == (200 if path in OPEN else 401), (method, path)
    assert api.client.get("/openapi.json").status_code == 401
    assert api.client.get("/nothing").status_code == 401


def test_keys_are_stored_as_hashes(make_api: Callable[..., Api]) -> None:
    api = make_api(require_key=True)
    key = KeyStore(api.services.database).create("test")
    content = (api.services.settings.home_dir / "ctrfast.db").read_bytes()
    wal = api.services.settings.home_dir / "ctrfast.db-wal"
    content += wal.read_bytes() if wal.exists() else b""
    assert key.split(".")[1].encode() not in content
    assert b"$argon2id$" in content


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 1000):
        yield b" " * 1000


def test_a_body_above_the_limit_is_refused(make_api: Callable[..., Api]) -> None:
    api = make_api(max_body_bytes=100_000)
    for content in (b" " * 100_001, chunks(200_000)):  # announced, and chunked without a length
        with httpx.Client(base_url=api.url, timeout=60) as client:
            problem(client.post("/v1/jobs", content=content), 413, "too_large")
    just_right = api.client.post("/v1/jobs", content=b" " * 100_000, headers={"Content-Type": "application/json"})
    problem(just_right, 400, "malformed_json")


def test_request_ids(api: Api) -> None:
    assert api.client.get("/healthz", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert api.client.get("/healthz", headers={"X-Request-ID": "no\tgood"}).headers["x-request-id"] != "no\tgood"
    assert api.client.get("/nothing", headers={"X-Request-ID": "mine-2"}).json()["request_id"] == "mine-2"


def test_no_redirect_is_made_from_the_host_header(api: Api) -> None:
    for method in ("GET", "POST"):
        problem(api.client.request(method, "/v1/jobs/", headers={"Host": "localhost:1"}), 404, "not_found")


def test_unknown_routes_and_methods(api: Api) -> None:
    problem(api.client.get("/nothing"), 404, "not_found")
    answer = api.client.delete("/v1/jobs")
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_a_caller_who_hangs_up_leaves_no_trace_but_a_count(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    for path in ("/v1/jobs", "/v1/score"):
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # it waits for the body
            connection.sendall(b'{"kind"')
    line = 'ctrfast_http_requests_total{method="POST",route="unmatched",status="499"} 2.0'
    wait_for(lambda: line in api.client.get("/metrics").text, "the count")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_an_unexpected_error_tells_nothing(api: Api) -> None:
    async def broken() -> None:
        raise ZeroDivisionError("/srv/secret")

    api.app.router.routes.insert(0, APIRoute("/broken", broken))
    body = problem(api.client.get("/broken"), 500, "internal")
    assert "secret" not in str(body)
    assert "ZeroDivision" not in str(body)
    assert api.client.get("/healthz").status_code == 200


def test_health_and_readiness(api: Api) -> None:
    assert api.client.get("/healthz").json() == {"status": "ok"}
    for path in ("/healthz", "/readyz"):
        answer = api.client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert api.client.get("/readyz").json()["status"] == "ready"
    api.services.database.migrate("base")
    problem(api.client.get("/readyz"), 503, "not_ready")
    assert api.client.get("/healthz").status_code == 200


def test_a_page_lists_all_routes(api: Api) -> None:
    page = api.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in api.app.openapi()["paths"]:
        assert path in page.text
    assert "<script" not in page.text
    assert hosts_named_in(page.text) <= {api.url.removeprefix("http://")}


def hosts_named_in(text: str) -> set[str]:
    """Hosts of all absolute URLs, with a scheme or without."""
    return set(re.findall(r"//([^/\s\"'<>()?#]+)", text))


def test_hosts_are_found() -> None:
    text = """<a href="https://evil.example/x"><img src=//cdn.example> url('http://a.example?b') /v1/jobs"""
    assert hosts_named_in(text) == {"evil.example", "cdn.example", "a.example"}


def test_openapi_documents_problems(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert "application/problem+json" in response["content"], (path, status)
