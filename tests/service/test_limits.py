"""Rate, depth, time and head sizes: what is too much is refused, and the service goes on."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

import service.protocol
from service.json_bodies import MAX_DEPTH, depth_of
from service.keys import KeyStore
from service.problems import TooManyRequestsError
from service.protocol import MAX_HEAD_BYTES
from service.rates import RateLimit
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_refills() -> None:
    clock = Clock()
    rates = RateLimit(2.0, clock)
    rates.take("a")
    rates.take("a")
    with pytest.raises(TooManyRequestsError) as refused:
        rates.take("a")
    assert refused.value.headers == {"Retry-After": "1"}
    rates.take("b")  # each caller has a bucket
    clock.now += 0.5
    rates.take("a")
    with pytest.raises(TooManyRequestsError):
        rates.take("a")
    clock.now += 1000
    for _ in range(2):  # no more than one second's worth
        rates.take("a")
    with pytest.raises(TooManyRequestsError):
        rates.take("a")


def test_a_slow_rate_says_when_to_come_again() -> None:
    rates = RateLimit(0.1, Clock())
    rates.take("a")
    with pytest.raises(TooManyRequestsError) as refused:
        rates.take("a")
    assert refused.value.headers == {"Retry-After": "10"}


def test_full_buckets_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.rates._MOST_BUCKETS", 10)
    clock = Clock()
    rates = RateLimit(1.0, clock)
    for number in range(1000):
        clock.now += 0.5
        rates.take(str(number))
    assert len(rates._buckets) <= 11


def test_each_key_has_its_own_rate(make_api: Callable[..., Api]) -> None:
    api = make_api(require_key=True, rate_per_s=0.001)
    first, second = (KeyStore(api.services.database).create(name) for name in ("a", "b"))
    assert api.client.get("/v1/jobs", headers={"X-API-Key": first}).status_code == 200
    answer = api.client.get("/v1/jobs", headers={"X-API-Key": first})
    problem(answer, 429, "too_many_requests")
    assert int(answer.headers["retry-after"]) > 100
    # The second key comes from the same address, which has spent its tries of keys that are not known yet.
    problem(api.client.get("/v1/jobs", headers={"X-API-Key": second}), 429, "too_many_requests")
    assert api.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("body", "depth"),
    [
        (b"", 0),
        (b"3", 0),
        (b"[]", 1),
        (b'{"a": [1, {"b": []}], "c": []}', 4),
        (b'{"a": "[[[["}', 1),
        (b'["\\"[[", "\\\\", [2]]', 2),
        (b"[]" * 1000, 1),
        ('["\u00e9["]'.encode(), 1),
        (b'["\n[[', 3),  # never closed: no JSON
    ],
)
def test_depth(body: bytes, depth: int) -> None:
    assert depth_of(body) == depth


def test_a_deep_body(shared_api: Api) -> None:
    def nested(depth: int) -> bytes:
        return b'{"kind": "train", "spec": ' + b'{"a": ' * (depth - 1) + b"1" + b"}" * (depth - 1) + b"}"

    problem(shared_api.client.post("/v1/jobs", content=nested(MAX_DEPTH + 1)), 400, "too_deep")
    assert shared_api.client.post("/v1/jobs", content=nested(MAX_DEPTH)).json()["code"] == "bad_config"


def exchange(api: Api, sent: bytes, then: bytes = b"") -> bytes:
    """What the server says until it closes the connection."""
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(sent)
        heard = b""
        try:
            while then:
                connection.sendall(then)
                if len(sent) > 100 * MAX_HEAD_BYTES:
                    pytest.fail("the server takes a head without an end")
                sent += then
        except OSError:
            pass  # closed on us, as it should be
        try:
            while chunk := connection.recv(65536):
                heard += chunk
        except ConnectionResetError:
            pass  # closed with bytes of ours unread
        return heard


def test_a_body_that_comes_too_slowly(make_api: Callable[..., Api]) -> None:
    api = make_api(body_timeout_s=0.3)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    heard = exchange(api, head + b'{"kind"')
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b'"body_timeout"' in heard
    assert api.client.get("/healthz").status_code == 200


def test_a_head_that_comes_too_slowly(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.protocol, "HEAD_TIMEOUT_S", 0.3)
    assert exchange(api, b"") == b""  # nothing was asked
    for begun in (b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "):
        assert exchange(api, begun).startswith(b"HTTP/1.1 400 ")
    second = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea"
    assert exchange(api, second).startswith(b"HTTP/1.1 200 ")


def test_a_head_without_an_end(api: Api) -> None:
    piece = b"a" * 4096
    for begun in (b"GET /", b"GET / HTTP/1.1\r\nX-A: ", b"GET / HTTP/1.1\r\n"):
        then = b"X-A: b\r\n" * 512 if begun.endswith(b"\r\n") else piece
        heard = exchange(api, begun, then)
        assert heard == b"" or heard.startswith(b"HTTP/1.1 400 ")
    assert api.client.get("/healthz").status_code == 200


def test_a_head_that_is_too_large(api: Api) -> None:
    problem(api.client.get("/v1/jobs", headers={"X-A": "a" * MAX_HEAD_BYTES}), 431, "headers_too_large")
    assert api.client.get("/v1/jobs", headers={"X-A": "a" * (MAX_HEAD_BYTES // 2)}).status_code == 200
