"""The pass over the shards against pandas, in row groups that do not fit slices or shards."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ctrfast.data.report import figures as module
from ctrfast.data.report.figures import SLICES, TOP_VALUES, count_figures
from ctrfast.data.report.quantiles import BINS, fine_bins
from ctrfast.schema import SPLITS


@pytest.fixture(scope="module")
def frames(dataset):
    return {split: pd.concat([pd.read_parquet(shard) for shard in dataset.shards(split)]) for split in SPLITS}


@pytest.fixture(scope="module")
def figures(dataset):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_GROUP", 331)
        patch.setattr(module, "LABELLED_IDS", 300)
        return count_figures(dataset)


@pytest.mark.parametrize("split", SPLITS)
def test_rows_by_id(dataset, figures, frames, split):
    for name in dataset.fitted.schema_.id_names:
        head = np.bincount(frames[split][name].clip(upper=2 + TOP_VALUES), minlength=2 + TOP_VALUES + 1)
        np.testing.assert_array_equal(figures.splits[split].heads[name], head)


@pytest.mark.parametrize("split", SPLITS)
def test_rows_by_slice(figures, frames, split):
    label = frames[split]["label"].to_numpy()
    edges = -(-np.arange(SLICES + 1) * len(label) // SLICES)  # row r is in slice floor(r * 50 / rows)
    parts = [label[start:end] for start, end in itertools.pairwise(edges)]
    assert figures.splits[split].slice_rows.tolist() == [len(part) for part in parts]
    assert figures.splits[split].slice_positives.tolist() == [part.sum() for part in parts]


@pytest.mark.parametrize("split", SPLITS)
def test_rows_by_number_half_and_label(dataset, figures, frames, split):
    label = frames[split]["label"].to_numpy()
    for name in dataset.fitted.schema_.numeric_names:
        bins, counted = fine_bins(frames[split][name].to_numpy()), figures.splits[split].numbers[name]
        for value in (0, 1):
            for half in (0, 1):
                chosen = bins[(label == value) & (np.arange(len(label)) % 2 == half)]
                np.testing.assert_array_equal(counted[:, half, value], np.bincount(chosen, minlength=BINS))


def test_training_rows_by_id_half_and_label(dataset, figures, frames):
    train = frames["train"]
    some_are_cut = False
    for name, size in zip(dataset.fitted.schema_.id_names, dataset.fitted.table_sizes, strict=True):
        last = min(size, 300)
        some_are_cut |= size > 300
        for half in (0, 1):
            rows = train.iloc[half::2]
            table = pd.crosstab(rows[name].clip(upper=last), rows["label"]).reindex(range(last + 1), fill_value=0)
            np.testing.assert_array_equal(figures.labelled[name][:, half], table[[0, 1]].to_numpy())
    assert some_are_cut


def test_rows_of_train_in_other_splits(figures, frames):
    columns = list(frames["train"].columns)
    known = frames["train"].drop_duplicates()
    for split in ("valid", "test"):
        assert figures.repeats[split].found() == len(frames[split].merge(known, on=columns))
        assert figures.repeats[split].checked == len(frames[split])
