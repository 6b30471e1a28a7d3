import threading
import time
from contextlib import closing

import pytest

from ctrfast.data.ahead import in_order


def test_results_keep_the_order_of_their_items():
    def slow_if_even(item):
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    assert list(in_order(slow_if_even, range(50))) == [item * item for item in range(50)]


def test_items_are_taken_only_a_few_ahead():
    taken = []
    results = in_order(lambda item: item, (taken.append(item) or item for item in range(10_000)))
    assert next(results) == 0
    assert len(taken) < 20
    results.close()


def test_an_error_comes_out_at_its_turn():
    def refuse_three(item):
        if item == 3:
            raise ValueError("three")
        return item

    results = in_order(refuse_three, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_a_closed_generator_leaves_no_thread():
    others = set(threading.enumerate())  # of other tests' services, too
    with closing(in_order(time.sleep, [0.01] * 100)) as results:
        next(results)
        at_work = {thread for thread in set(threading.enumerate()) - others if thread.name.startswith("ctrfast-data")}
        assert at_work
    assert not at_work & set(threading.enumerate())
