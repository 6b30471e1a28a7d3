"""The model of several GPUs: against closed forms, a drawn batch, an exchange that was played through, and by hand."""

import numpy as np
import pytest

from bench.scale_model import WORKS, Speed, largest
from bench.sharing import FORMS, Work, dense_all_reduce, rows_sharded, sparse_all_reduce
from bench.workload import SEED, draw_rows, field_sizes

V, D = 50_000, 10


def test_ids_of_like_shares_differ_as_the_closed_form_says():
    work = Work([V, 100], width=D, skew=1.0)
    closed = sum(size * (1 - (1 - 1 / size) ** 20_000) for size in (V, 100))
    assert work.distinct(20_000) == pytest.approx(closed, rel=1e-6)


def test_skewed_ids_differ_as_drawn_ones_do():
    sizes = field_sizes(V)
    ids = draw_rows(np.random.default_rng(SEED), sizes, 8192).ids
    drawn = sum(len(np.unique(column)) for column in ids.T)
    assert Work(sizes, D).distinct(8192) == pytest.approx(drawn, rel=0.02)


def test_bytes_by_hand():
    work = Work([V], width=D, skew=1.0)
    P, U = work.dense, work.distinct(1000)
    dense, sparse, sharded = (form(work, 4000, 4) for form in (dense_all_reduce, sparse_all_reduce, rows_sharded))
    assert dense.sent_bytes == 4 * 2 * 0.75 * (12 * V + P)
    assert sparse.sent_bytes == pytest.approx(4 * (3 * 13 * U + 1.5 * P))
    assert sharded.sent_bytes == pytest.approx(4 * 0.75 * (24 * U + 2 * P))
    assert dense.held_bytes == 4 * V * (33 + 24)
    assert sparse.held_bytes == pytest.approx(4 * (V * 57 + 4 * 13 * U))
    assert sharded.held_bytes == pytest.approx(4 * (V * 57 / 4 + 48 * U))
    assert {form(work, 4000, 1).sent_bytes for form in FORMS.values()} == {0}
    assert len({form(work, 4000, 1).held_bytes for form in FORMS.values()}) == 1


def test_an_exchange_that_is_played_through_sends_what_the_model_says():
    """Each GPU asks the owners of its ids, gets rows, returns sums; what crosses from one to another is counted."""
    gpus, share, rng = 4, 2000, np.random.default_rng(SEED)
    batches = [np.unique(rng.integers(0, V, share)) for _ in range(gpus)]
    table, sums = rng.normal(size=(V, D + 1)), np.zeros((V, D + 2))
    sent = np.zeros(gpus)
    for gpu, ids in enumerate(batches):
        for owner in range(gpus):
            asked = ids[ids % gpus == owner]
            rows = table[asked]
            returned = np.concatenate([rows * 2, np.ones((len(asked), 1))], axis=1)
            np.add.at(sums, asked, returned)
            if owner != gpu:
                sent[gpu] += asked.size + returned.size
                sent[owner] += rows.size
    work = Work([V], width=D, skew=1.0)
    dense = 4 * 2 * 0.75 * work.dense
    assert rows_sharded(work, gpus * share, gpus).sent_bytes - dense == pytest.approx(4 * sent.mean(), rel=0.02)
    touched = np.unique(np.concatenate(batches))
    np.testing.assert_array_equal(np.flatnonzero(sums[:, -1]), touched)
    np.testing.assert_allclose(sums[touched, :-1], 2 * table[touched] * sums[touched, -1:])


def test_the_fit_finds_the_speed_that_the_steps_were_made_with():
    speed, work = Speed(fixed_s=5e-4, multiply_add_s=2e-13), Work([V], D)
    form = FORMS["dense all-reduce"]
    measured = {size: size / speed.step_s(form, work, size, 1, "-") for size in (1024, 8192, 65_536)}
    fitted = Speed.fitted(measured, work)
    assert (fitted.fixed_s, fitted.multiply_add_s) == pytest.approx((5e-4, 2e-13), rel=1e-6)


def test_the_largest_table_is_found_within_a_percent():
    assert largest(lambda rows: rows <= 3_000_000) == pytest.approx(3_000_000, rel=0.01)


def test_a_table_of_a_terabyte_s_ids_needs_its_rows_sharded():
    work = WORKS["Criteo 1 TB, 204,184,588 ids x 128"]
    assert dense_all_reduce(work, 131_072, 8).held_bytes > 80e9 > rows_sharded(work, 131_072, 8).held_bytes
