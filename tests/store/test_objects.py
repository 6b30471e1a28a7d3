"""The store's errors: one sentence each, of the right kind, and without a secret."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError

from ctrfast.errors import ConfigError, CtrFastError, DependencyError, StoreUnavailableError
from ctrfast.store import objects
from ctrfast.store.address import Address, is_stored
from ctrfast.store.objects import Objects, connect

SECRET = "wJalrXUtnFEMI"


@pytest.fixture
def fresh(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Objects]]:
    """Connect with other variables."""

    def with_environment(**values: str | None) -> Objects:
        for name, value in values.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        objects._connect.cache_clear()
        return connect()

    yield with_environment
    objects._connect.cache_clear()


def test_an_address() -> None:
    address = Address.parse("s3://bucket/a/b/")
    assert str(address / "c") == "s3://bucket/a/b/c"
    assert address.name == "b"
    assert Address.parse("s3://bucket").name == "bucket"
    assert [address.is_under(Address.parse(root)) for root in ("s3://bucket", "s3://bucket/a", "s3://bucket/a/b")] == [
        True
    ] * 3
    assert not any(
        address.is_under(Address.parse(root)) for root in ("s3://bucket/a/b/c", "s3://other/a", "s3://bucket/a/bb")
    )
    assert [is_stored(given) for given in ("s3://b/k", "b/k", "gs://b/k")] == [True, False, False]


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///a", "s3://B_/a", "gs://bucket/a", "s3://bucket/a/../b", "s3://bucket/a//b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must read s3://bucket/prefix") as caught:
        Address.parse(text, "out")
    assert caught.value.path == "out"


@pytest.mark.parametrize(
    "text", [f"s3://key:{SECRET}@bucket/a", f"s3://bucket/a?secret={SECRET}", f"s3://a/b:{SECRET}@c/d"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="neither credentials nor options") as caught:
        Address.parse(text)
    assert SECRET not in caught.value.message


def test_a_bucket_that_is_not_there(store: str, tmp_path) -> None:
    address = Address.parse("s3://no-such-bucket/a")
    (tmp_path / "file").touch()
    for call in (
        lambda: connect().read(address),
        lambda: connect().write(address, b"", new=True),
        lambda: connect().upload(tmp_path / "file", address),
        lambda: connect().sizes(address),
    ):
        with pytest.raises(ConfigError, match=r"There is no bucket 'no-such-bucket'\. Make it"):
            call()


def test_what_is_not_there_is_none(store: str, tmp_path) -> None:
    address = Address.parse(store) / "absent"
    assert connect().read(address) is None
    assert connect().download(address, tmp_path / "file") is False
    assert connect().sizes(address) == {}
    connect().remove(address)


def test_more_objects_than_one_request_removes(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_MOST_REMOVED", 2)
    address = Address.parse(store) / "many"
    for number in range(5):
        connect().write(address / str(number), b"x", new=True)
    connect().remove(address, [str(number) for number in range(4)])
    assert connect().sizes(address) == {"4": 1}


def refusing(code: str) -> Objects:
    class Client:
        def __getattr__(self, name: str) -> Callable[..., None]:
            def refuse(**_: object) -> None:
                raise ClientError({"Error": {"Code": code, "Message": SECRET}}, "GetObject")

            return refuse

    return Objects(Client())


@pytest.mark.parametrize(
    "code, kind, message",
    [
        ("AccessDenied", ConfigError, r"The store refuses GetObject at s3://b12/k \(AccessDenied\)"),
        ("SignatureDoesNotMatch", ConfigError, "Check the credentials"),
        ("SlowDown", StoreUnavailableError, r"could not do GetObject at s3://b12/k \(SlowDown\)\. Try again"),
    ],
)
def test_a_refusal_is_told_by_its_code(code: str, kind: type[CtrFastError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        refusing(code).read(Address.parse("s3://b12/k"))
    assert SECRET not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_store_that_is_away(fresh: Callable[..., Objects], store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setattr(objects, "_TRIES", 1)
    away = fresh(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_SECRET_ACCESS_KEY=SECRET)
    with pytest.raises(StoreUnavailableError, match=r"cannot be reached \(EndpointConnectionError\)") as caught:
        away.read(Address.parse(store) / "a")
    assert SECRET not in str(caught.value)
    assert caught.value.code == "storage"


def test_without_credentials(fresh: Callable[..., Objects], store: str, tmp_path) -> None:
    nowhere = str(tmp_path / "none")
    bare = fresh(
        AWS_ACCESS_KEY_ID=None,
        AWS_SECRET_ACCESS_KEY=None,
        AWS_SHARED_CREDENTIALS_FILE=nowhere,
        AWS_CONFIG_FILE=nowhere,
        AWS_EC2_METADATA_DISABLED="true",
    )
    with pytest.raises(ConfigError, match=r"without credentials\. Set AWS_ACCESS_KEY_ID"):
        bare.read(Address.parse(store) / "a")


def test_an_endpoint_that_is_no_address(fresh: Callable[..., Objects]) -> None:
    with pytest.raises(ConfigError, match="The AWS_ variables cannot be used"):
        fresh(AWS_ENDPOINT_URL=f"no address {SECRET}")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    objects._connect.cache_clear()
    with pytest.raises(DependencyError, match=r"pip install 'ctrfast\[s3\]'"):
        connect()
