"""Secrets of webhooks: their forms, and signatures as Standard Webhooks says."""

from __future__ import annotations

import base64

import pytest
from pydantic import ValidationError

from service.settings import Settings
from service.webhook_secrets import parse_secrets, secret_of, signature

ONE = base64.b64encode(b"a" * 24).decode()
OTHER = base64.b64encode(b"b" * 32).decode()


def test_the_example_of_the_published_libraries() -> None:
    secret = secret_of("any", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert secret is not None
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_one_for_all_or_one_for_each() -> None:
    assert secret_of("ads", f"whsec_{ONE}") == b"a" * 24
    several = f"ads=whsec_{ONE}, shop=whsec_{OTHER}"
    assert secret_of("ads", several) == b"a" * 24
    assert secret_of("shop", several) == b"b" * 32
    assert secret_of("default", several) is None
    assert secret_of("default", f"{several},whsec_{OTHER}") == b"b" * 32
    assert secret_of("default", None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "whsec_BASE64"),
        (ONE, "whsec_BASE64"),
        (f"ads:whsec_{ONE}", "whsec_BASE64"),
        (f"=whsec_{ONE}", "project"),
        (f"whsec_{ONE},", "whsec_BASE64"),
        (f"whsec_{ONE},whsec_{OTHER}", "once"),
        (f"ADS!=whsec_{ONE}", "project"),
        ("whsec_no base64", "base64"),
        ("whsec_YWFh", "24 to 64"),
        ("whsec_" + base64.b64encode(b"c" * 65).decode(), "24 to 64"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_secrets(text)
    with pytest.raises(ValidationError):
        Settings(webhook_secret=text)


def test_no_text_shows_a_secret() -> None:
    assert ONE not in repr(Settings(webhook_secret=f"whsec_{ONE}"))
