"""URL and key: given, from the environment, or refused."""

import pytest

from ctrfast.client.address import LOCAL_URL, find_address
from ctrfast.errors import ConfigError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("CTRFAST_URL", raising=False)
    monkeypatch.delenv("CTRFAST_API_KEY", raising=False)


def test_without_anything_it_is_this_machine_without_a_key():
    address = find_address(None, None)
    assert address.url == LOCAL_URL
    assert "Authorization" not in address.headers


def test_the_environment_and_what_is_given(monkeypatch):
    monkeypatch.setenv("CTRFAST_URL", "https://ctr.example.org/api")
    monkeypatch.setenv("CTRFAST_API_KEY", "a.b")
    address = find_address(None, None)
    assert address.url == "https://ctr.example.org/api"
    assert address.headers["Authorization"] == "Bearer a.b"
    assert "a.b" not in repr(address)
    given = find_address("http://localhost:1", "c.d")
    assert (given.url, given.headers["Authorization"]) == ("http://localhost:1", "Bearer c.d")


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host", "http://", "http://\x00", "", "http://a:b", "http://me:secret@host"]
)
def test_what_is_no_url(url):
    with pytest.raises(ConfigError) as caught:
        find_address(url, None)
    assert caught.value.path == "url"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("key", ["a b", "a\nb", "schlüssel"])
def test_what_is_no_key_is_not_shown(key):
    with pytest.raises(ConfigError) as caught:
        find_address(None, key)
    assert caught.value.path == "key"
    assert key not in caught.value.message
