"""Requests to addresses that callers gave us: where they may go, and that they go to what was checked."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from service.outbound import NotSentError, Policy, post
from service.public_addresses import is_public
from tests.service.receiver import Receiver

LOCAL = Policy(allow_http=True, allow_private=True, timeout_s=60)
PUBLIC = Policy(allow_http=True, allow_private=False, timeout_s=60)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def send(url: str, policy: Policy) -> int:
    return asyncio.run(post(httpx.URL(url), b"body", {"X-A": "b"}, policy))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("8.8.8.8", True),
        ("127.0.0.1", False),
        ("127.255.0.9", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("172.32.0.1", True),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # metadata of most clouds
        ("100.100.100.200", False),  # Alibaba's
        ("192.0.0.192", False),  # Oracle's
        ("168.63.129.16", False),  # Azure's
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("239.1.1.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::1", False),
        ("::", False),
        ("::127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("fe80::1", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),  # Amazon's metadata
        ("ff02::1", False),
        ("2002:7f00:0001::", False),  # 6to4 of 127.0.0.1
        ("2002:808:808::", False),
        ("2001:0:808:808::", False),
        ("64:ff9b::7f00:1", False),  # NAT64 of 127.0.0.1
        ("64:ff9b::808:808", True),
        ("2001:db8::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_a_body_arrives(receiver: Receiver) -> None:
    assert send(f"{receiver.url}/a?b=c", LOCAL) == 200
    (told,) = receiver.told
    assert (told.path, told.body, told.headers["X-A"]) == ("/a?b=c", b"body", "b")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0x7f000001"])
def test_private_addresses_and_names_that_lead_to_them(receiver: Receiver, host: str) -> None:
    url = f"http://{host}:{receiver.port}/"
    with pytest.raises(NotSentError, match=r"not public|no address"):
        send(url, PUBLIC)
    assert receiver.told == []


def test_one_private_address_among_public_ones_is_enough(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(NotSentError, match="not public"):
        send(f"http://both.example:{receiver.port}/", PUBLIC)
    assert receiver.told == []


def test_plain_http_needs_to_be_allowed(receiver: Receiver) -> None:
    with pytest.raises(NotSentError, match="https"):
        send(receiver.url, Policy(allow_http=False, allow_private=True, timeout_s=60))
    with pytest.raises(NotSentError, match="https"):
        send("ftp://127.0.0.1/", LOCAL)


def resolve(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> list[str]:
    """Have every name lead to these addresses; returns the names that are asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_is_resolved_once_and_the_connection_goes_there(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve(monkeypatch, ["127.0.0.1"])
    assert send(f"http://name.example:{receiver.port}/x", LOCAL) == 200
    assert asked.count("name.example") == 1
    assert receiver.told[0].headers["Host"] == f"name.example:{receiver.port}"


def test_an_address_that_does_not_answer_is_passed_over(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    assert send(f"http://name.example:{receiver.port}/x", LOCAL) == 200
    resolve(monkeypatch, ["127.0.0.9"])
    with pytest.raises(NotSentError, match="ConnectError"):
        send(f"http://name.example:{receiver.port}/x", LOCAL)


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for a name, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "both.pem"
    file.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return file


def test_the_certificate_must_be_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path, "name.example")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(file)
    resolve(monkeypatch, ["127.0.0.1"])
    strict = Policy(allow_http=False, allow_private=True, timeout_s=60)
    with Receiver(served) as receiver:
        with pytest.raises(NotSentError, match="ConnectError"):  # nobody vouches for it
            send(f"https://name.example:{receiver.port}/", strict)
        trusting = ssl.create_default_context(cafile=str(file))
        monkeypatch.setattr("service.outbound._tls", lambda: trusting)
        assert send(f"https://name.example:{receiver.port}/", strict) == 200
        with pytest.raises(NotSentError, match="ConnectError"):
            send(f"https://other.example:{receiver.port}/", strict)
        assert len(receiver.told) == 1


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answers = [302]
    assert send(receiver.url, LOCAL) == 302
    assert [told.path for told in receiver.told] == ["/"]


def test_a_receiver_that_keeps_silent(receiver: Receiver) -> None:
    receiver.answers = ["silence"]
    with pytest.raises(NotSentError, match=r"no answer within 0\.3 s"):
        send(receiver.url, Policy(allow_http=True, allow_private=True, timeout_s=0.3))


def test_an_answer_without_an_end_is_not_read(receiver: Receiver) -> None:
    receiver.answers = ["endless"]
    assert send(receiver.url, LOCAL) == 200


def test_proxies_of_the_environment_are_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert send(receiver.url, LOCAL) == 200
