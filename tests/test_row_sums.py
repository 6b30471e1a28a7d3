"""Which form of row sums workers exchange: the bytes by hand and played through, and what is chosen."""

from dataclasses import replace

import numpy as np
import pytest

from ctrfast.data.touched_rows import most_touched
from ctrfast.preflight import workers_findings
from ctrfast.row_sums import RowSums, choose_row_sums, row_sums_form
from tests import tiny_clicks


def test_bytes_by_hand():
    row_sums = RowSums(replicas=4, table_rows=1000, width=10, touched=50)
    assert row_sums.dense_bytes == 4 * 1.5 * 1000 * 12
    assert row_sums.sparse_bytes == 4 * 3 * 50 * 13


def test_rings_that_are_played_through_send_what_the_costs_say():
    """Dense: N pieces go round twice, to be added up and to be handed on. Sparse: each list goes round once."""
    N, V, D, U = 4, 1000, 10, 50
    sums = np.zeros((V, D + 2), np.float32)
    dense = sum(np.array_split(sums, N)[0].nbytes for _ in range(2) for _ in range(N - 1))
    lists = np.zeros((U, D + 3), np.float32)
    sparse = sum(lists.nbytes for _ in range(N - 1))
    row_sums = RowSums(replicas=N, table_rows=V, width=D, touched=U)
    assert (row_sums.dense_bytes, row_sums.sparse_bytes) == (dense, sparse)


def test_the_form_that_sends_less_is_taken():
    few = RowSums(replicas=2, table_rows=1000, width=10, touched=900)
    many = replace(few, touched=950)
    assert few.sparse_bytes < few.dense_bytes == many.dense_bytes < many.sparse_bytes
    assert (few.form, many.form) == ("sparse", "dense")
    assert replace(few, replicas=8).form == "dense"  # each list goes to seven others
    assert replace(few, on_gpu=True).form == "dense"
    assert replace(few, replicas=1).form == "dense"


def test_the_reason_names_both_costs():
    row_sums = RowSums(replicas=2, table_rows=1_048_576, width=10, touched=32_768)
    assert "about 32,768 table rows" in row_sums.reason and "1.6 MiB" in row_sums.reason
    assert "sparse row sums" in row_sums.reason and "all 1,048,576 rows would be 48.0 MiB" in row_sums.reason
    dense = replace(row_sums, touched=1_048_576, is_most=True)
    assert "dense row sums" in dense.reason and "at most 1,048,576 rows" in dense.reason and "52.0 MiB" in dense.reason
    assert "GPUs" in replace(row_sums, on_gpu=True).reason


@pytest.mark.parametrize(("batch_size", "form"), [(50, "sparse"), (250, "dense")])
def test_the_batch_decides(tiny_dataset, batch_size, form):
    config = tiny_clicks.settings(batch_size=batch_size, cluster={"workers": 2})
    assert choose_row_sums(tiny_dataset, config, 2).form == row_sums_form(tiny_dataset, config, 2) == form
    (finding,) = workers_findings(tiny_dataset, config)
    assert f"{form} row sums" in finding.message and "about" in finding.message
    (without,) = workers_findings(tiny_dataset, config, with_vocabularies=False)
    most = sum(most_touched(tiny_dataset.fitted, batch_size // 2).values())
    assert f"at most {most}" in without.message


def test_counts_of_earlier_vocabularies_are_not_used(tiny_dataset):
    config = tiny_clicks.settings(batch_size=50, cluster={"workers": 2})
    preparation = {**tiny_dataset.manifest.preparation, "vocabulary_from": "0" * 64, "grow": False}
    manifest = tiny_dataset.manifest.model_copy(update={"preparation": preparation})
    found = choose_row_sums(replace(tiny_dataset, manifest=manifest), config, 2)
    assert found.is_most and found.touched == sum(most_touched(tiny_dataset.fitted, 25).values())


def test_devices_of_one_process_exchange_dense_sums(tiny_dataset):
    config = tiny_clicks.settings(batch_size=50, replicas=2)
    assert choose_row_sums(tiny_dataset, config, 2).form == "sparse"
    assert row_sums_form(tiny_dataset, config, 2) == "dense"


def test_gpus_exchange_dense_sums(tiny_dataset):
    config = tiny_clicks.settings(batch_size=48, cluster={"workers": 2, "gpus_per_worker": 2})
    assert row_sums_form(tiny_dataset, config, 4) == "dense"
    (finding,) = workers_findings(tiny_dataset, config)
    assert "each of the 4 GPUs of 2 workers" in finding.message and "as replicas on GPUs do" in finding.message
