"""Thousands of hostile requests through the real server: each is refused, and the service goes on.

Each is made from a seed so that it cannot be a good one: paths of nothing, heads that break HTTP or come from
elsewhere, bodies that are cut, bent or nested. They are sent as bytes, since a client library would tidy them up.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Callable

import pytest

from tests.service.conftest import Api

COUNT = 1800  # of each kind
SEED = 20261122

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
PREFIXES = (
    "/v1/jobs/",
    "/v1/datasets/",
    "/v1/models/",
    "/v1/models/ctr/versions/",
    "/v1/models/ctr/labels/",
    "/v1/",
    "/",
    "/v1/jobs/x/outputs/",
)
PIECES = (
    "..",
    "%2e%2e",
    "%2f",
    "%5c",
    "%00",
    "%0d%0aX-Evil:%201",
    "%ff%fe",
    "%F0%9F%92%A9",
    "%ed%a0%80",
    "%",
    "%zz",
    ";",
    ":predict",
    "%3Apredict",
    "//",
    "etc/passwd",
    "'--",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "<script>",
    "-1",
    "99999999999999999999",
    "1e999",
    "~root",
    "?limit=-1",
    "?cursor=%00",
    "#x",
    "a" * 300,
    "zz" * 2000,
)
VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    -(10**300),
    1e308,
    "",
    "x" * 5000,
    "../../etc/passwd",
    "/etc/passwd",
    "\x00",
    "\ud800",
    "\u202e",
    [],
    {},
    [[]],
    [None],
    {"a": {"b": {"c": []}}},
    [{}] * 50,
    {"": ""},
    {"__proto__": {"x": 1}},
    "file:///etc/passwd",
    "http://127.0.0.1:1/",
    "s3://bucket/x",
)
# A body with its route: `WRONG` is replaced by hostile values, and what stands beside it makes no good request.
WRONG = "WRONG"
BODIES: tuple[tuple[str, str, object], ...] = (
    ("POST", "/v1/jobs", {"kind": "train", "spec": {"dataset": "none", "batch_size": WRONG}}),
    ("POST", "/v1/jobs", {"kind": "train", "spec": {"dataset": "none", "model": WRONG}}),
    ("POST", "/v1/jobs", {"kind": WRONG, "spec": {}}),
    ("POST", "/v1/jobs", {"kind": "prepare", "spec": WRONG}),
    ("POST", "/v1/jobs", {"kind": "prepare", "spec": {"name": "h", "raw": [WRONG], "preset": "criteo"}}),
    ("POST", "/v1/jobs", {"kind": "score", "spec": {"model": "ctr", "inputs": [WRONG]}}),
    ("POST", "/v1/jobs", {"kind": "evaluate", "spec": {"job": WRONG, "dataset": "small"}}),
    ("POST", "/v1/datasets", {"name": "h", "path": WRONG, "prepare": {}}),
    ("POST", "/v1/datasets", {"name": "h", "path": WRONG}),
    ("POST", "/v1/plans", {"dataset": "none", "scaling": WRONG}),
    ("POST", "/v1/score", {"model": WRONG, "candidates": [{}]}),
    ("POST", "/v1/score", {"model": "ctr", "context": {"Q9": 1}, "candidates": [{"C1": WRONG}]}),
    ("POST", "/v1/models/ctr:predict", {"instances": [{"Q9": WRONG}]}),
    ("POST", "/v1/models/ctr:predict", {"instances": WRONG, "inputs": WRONG}),
    ("POST", "/v1/models/ctr:predict", {"inputs": {"Q9": [1], "C1": WRONG}}),
    ("PUT", "/v1/models/ctr/aliases/a", {"version": WRONG}),
)


def request(method: str, path: str, *headers: str, body: bytes = b"", length: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Connection: close", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def hostile_path(rng: random.Random) -> bytes:
    pieces = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 4)))
    method = rng.choice(METHODS)
    # The marker is part of the last name, so that no route finds what it looks for.
    return request(method, f"{rng.choice(PREFIXES)}zz-nothing{pieces}", "Host: localhost")


def hostile_head(rng: random.Random) -> bytes:
    junk = "".join(chr(rng.randrange(256)) for _ in range(rng.randint(1, 60)))
    tidy = junk.replace("\r", "").replace("\n", "")
    path = "/v1/jobs/zz-nothing"
    return rng.choice(
        (
            lambda: request("GET", path, f"Host: {tidy or 'x'}"),
            lambda: request("GET", path, "Host: localhost", f"{tidy}: x"),
            lambda: request("GET", path, "Host: localhost", f"X-A: {junk}"),
            lambda: request("GET", path, "Host: localhost", f"X-API-Key: {tidy}x"),
            lambda: request(
                "GET", path, "Host: localhost", f"Authorization: Bearer {tidy}.{'x' * rng.randint(0, 400)}"
            ),
            lambda: request("GET", path, "Host: localhost", f"Last-Event-ID: {tidy}", f"Accept: {tidy}"),
            lambda: request(
                "GET", path, "Host: localhost", *[f"X-{n}: {'v' * 40}" for n in range(rng.randint(1, 600))]
            ),
            lambda: request("GET", path, "Host: localhost", f"X-A: {'a' * rng.randint(1, 40_000)}"),
            lambda: request("GET", path, "Host: localhost", "Host: evil.example"),
            lambda: request("POST", path, "Host: localhost", f"Origin: http://{tidy}"),
            lambda: request("POST", path, "Host: localhost", "Content-Length: 5", body=b"12"),
            lambda: request("POST", path, "Host: localhost", f"Content-Length: {tidy}x", length=False),
            lambda: request(
                "POST", path, "Host: localhost", f"Content-Length: {10 ** rng.randint(9, 30)}", length=False
            ),
            lambda: request(
                "POST", path, "Host: localhost", "Transfer-Encoding: chunked", body=b"ZZ\r\nx\r\n", length=False
            ),
            lambda: request(
                "POST", path, "Host: localhost", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
            ),
            lambda: request(junk.split()[0] if junk.split() else "X", path, "Host: localhost"),
            lambda: junk.encode("latin-1") + b"\r\n\r\n",
            lambda: request("POST", "/v1/jobs", "Host: localhost", f"Idempotency-Key: {'k' * 256}", body=b"{}"),
        )
    )()


def bent(rng: random.Random, value: object) -> object:
    if value == WRONG:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        return {key: bent(rng, entry) for key, entry in value.items()}
    return [bent(rng, entry) for entry in value] if isinstance(value, list) else value


def hostile_body(rng: random.Random) -> bytes:
    method, path, body = rng.choice(BODIES)
    text = json.dumps(bent(rng, body)).encode()
    kind = rng.randrange(6)
    if kind == 0:
        text = text[: rng.randrange(len(text))]  # a part of an object is no JSON
    elif kind == 1:
        place = rng.randrange(len(text))
        text = text[:place] + bytes([rng.randrange(0x80, 0x100)]) + text[place:]  # alone, it is no UTF-8
    elif kind == 2:
        text = rng.choice((b"[", b'{"a":', b'{"spec":[')) * rng.choice((65, 1000, 50_000))
    kinds = ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    return request(method, path, "Host: localhost", f"Content-Type: {rng.choice(kinds)}", body=text)


def answer(api: Api, sent: bytes) -> bytes:
    """The first bytes that come back."""
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        with contextlib.suppress(OSError):  # it may have answered and closed before the end
            connection.sendall(sent)
        return connection.recv(4096)


@pytest.mark.parametrize("make", [hostile_path, hostile_head, hostile_body], ids=lambda make: make.__name__)
def test_each_is_refused(shared_api: Api, make: Callable[[random.Random], bytes]) -> None:
    rng = random.Random(f"{SEED} {make.__name__}")
    statuses: dict[str, int] = {}
    for _ in range(COUNT):
        sent = make(rng)
        status = answer(shared_api, sent)[:12].decode("latin-1")
        assert status.startswith("HTTP/1.1 4"), (status, sent[:600])
        statuses[status[9:]] = statuses.get(status[9:], 0) + 1
    assert len(statuses) > 2, statuses  # they are refused for different reasons
    assert shared_api.client.get("/healthz").json() == {"status": "ok"}
    assert shared_api.client.get("/readyz").status_code == 200
