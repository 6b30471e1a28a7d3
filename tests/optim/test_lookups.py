"""Which variables a traced function gathers rows of."""

import pytest
import tensorflow as tf

from ctrfast.optim.lookups import looked_up


@pytest.fixture
def variables():
    return [tf.Variable(tf.ones((3, 2)), name=name) for name in ("gathered", "multiplied")]


def in_place(gathered, multiplied, check):
    tf.gather(gathered, [0])
    tf.matmul(multiplied, [[1.0], [1.0]])
    check()


def read_first(gathered, multiplied, check):
    tf.gather(tf.identity(gathered), [0])
    tf.gather(tf.matmul(multiplied, [[1.0], [1.0]]), [0])
    check()


def checked_in_a_branch(gathered, multiplied, check):
    tf.gather(gathered, [0])

    def branch():
        check()
        return tf.reduce_sum(multiplied)

    tf.cond(tf.random.uniform(()) < 0.5, branch, lambda: 0.0)


@pytest.mark.parametrize("body", [in_place, read_first, checked_in_a_branch])
def test_the_gathered_variable_is_found_and_no_other(body, variables):
    found = []
    tf.function(lambda: body(*variables, lambda: found.append(looked_up(variables)))).get_concrete_function()
    assert [[variable.name for variable in each] for each in found] == [["gathered:0"]]


def test_eager_code_leaves_no_trace(variables):
    tf.gather(variables[0], [0])
    assert looked_up(variables) == []
