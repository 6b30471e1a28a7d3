"""Which outcomes are tried again, and after how long."""

import httpx
import pytest

from ctrfast.client import Patience

PATIENCE = Patience(retries=4, first_s=1.0, longest_s=5.0)


def answer(status, **headers):
    return httpx.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("status", [200, 202, 400, 401, 403, 404, 409, 413, 422, 500, 502, 507])
def test_answers_that_stand(status):
    assert PATIENCE.pause_s(0, answer(status), repeatable=True) is None


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_service_that_is_busy_is_asked_again(status, repeatable):
    for retry, longest in enumerate((1.0, 2.0, 4.0, 5.0)):
        pauses = [PATIENCE.pause_s(retry, answer(status), repeatable=repeatable) for _ in range(50)]
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1
    assert PATIENCE.pause_s(4, answer(status), repeatable=repeatable) is None


def test_a_version_that_cannot_be_served_is_not_waited_for():
    kind = {"content-type": "application/problem+json"}
    for code, is_waited_for in (("bad_artifact", False), ("not_ready", True)):
        refusal = httpx.Response(503, json={"code": code}, headers=kind)
        assert (PATIENCE.pause_s(0, refusal, repeatable=True) is not None) == is_waited_for


def test_retry_after_is_the_least_and_too_long_a_wait_is_none():
    pause = PATIENCE.pause_s(0, answer(429, retry_after="3"), repeatable=True)
    assert 3.5 <= pause <= 4.0
    assert PATIENCE.pause_s(0, answer(429, retry_after="6"), repeatable=True) is None
    assert PATIENCE.pause_s(0, answer(503, retry_after="soon"), repeatable=True) <= 1.0


def test_a_lost_answer_is_asked_for_again_only_where_twice_is_once():
    lost, refused = httpx.ReadError("reset"), httpx.ConnectError("refused")
    assert PATIENCE.pause_s(0, lost, repeatable=True) is not None
    assert PATIENCE.pause_s(0, lost, repeatable=False) is None
    assert PATIENCE.pause_s(0, refused, repeatable=False) is not None  # it was never sent
    assert PATIENCE.pause_s(0, httpx.UnsupportedProtocol("x"), repeatable=True) is None
