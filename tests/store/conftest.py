"""An S3 server on this machine; the store's clients find it by the environment, as in earnest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ctrfast.folders import new_folder, write_manifest
from ctrfast.store import objects

BUCKET = "artefacts"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Address of the server; the bucket is there."""
    with running_server() as url:
        yield url


@contextmanager
def running_server() -> Iterator[str]:
    """Address of a server with the bucket, as long as the block lasts."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    session = boto3.session.Session(aws_access_key_id="key", aws_secret_access_key="hush")
    session.client("s3", region_name="us-east-1", endpoint_url=url).create_bucket(Bucket=BUCKET)
    objects._connect.cache_clear()
    try:
        yield url
    finally:
        server.stop()


def environment_of(server: str, cache: Path) -> dict[str, str]:
    """What the store's clients read: the server's address, its keys, and the folder of the cache."""
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush"}
    return {"AWS_ENDPOINT_URL": server, **keys, "CTRFAST_CACHE": str(cache)}


@pytest.fixture
def store(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address of the test's own in the store, and an empty cache."""
    for name, value in environment_of(server, tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small artefact."""
    return make_folder(tmp_path / "made", "one")


def make_folder(out: Path, text: str) -> Path:
    """A folder with a manifest, and the text in one of its files."""
    with new_folder(out) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "a.txt").write_text(text)
        (partial / "b.txt").write_text("b")
        write_manifest(partial, {"kind": "bundle"})
    return out
