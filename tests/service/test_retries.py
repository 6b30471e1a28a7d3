"""A failed key waits, each time twice as long, up to a limit."""

from service.retries import Retries


def test_the_wait_doubles_up_to_the_limit() -> None:
    now = 0.0
    retries: Retries[str] = Retries(10, 30, clock=lambda: now)
    assert retries.waiting("a") is None
    for wait_s in (10, 20, 30, 30):
        assert retries.failed("a", "why") == wait_s
        assert retries.waiting("a") == "why"
        assert retries.waiting("b") is None
        now += wait_s - 0.1
        assert retries.waiting("a") == "why"
        now += 0.1
        assert retries.waiting("a") is None
    retries.failed("a", "why")
    retries.forget("a")
    assert retries.waiting("a") is None
    assert retries.failed("a", "again") == 10
