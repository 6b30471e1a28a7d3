"""Preparation the way of CowClip's authors: pandas, one scikit-learn `LabelEncoder` per field, feather files.

Written from what their `data_utils.py` does. There is no threshold; every id of every split gets a number of its own,
so the encoders see the test rows too; missing ids are a value, missing numbers 0; numbers are scaled to [0, 1]. Theirs
cuts off the last seventh as the test split; this one cuts as the others do.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.preprocessing import LabelEncoder, MinMaxScaler

from bench.prepare_work import COLUMNS, IDS, NUMBERS, SEPARATOR, arguments, spans


def prepare(raw: Path, out: Path) -> None:
    ids, numbers = list(IDS), list(NUMBERS)
    clicks = pd.read_csv(raw, sep=SEPARATOR, header=None, names=list(COLUMNS))
    clicks[ids] = clicks[ids].fillna("-1")
    for name in ids:
        clicks[name] = LabelEncoder().fit_transform(clicks[name])
    clicks[numbers] = MinMaxScaler().fit_transform(clicks[numbers].fillna(0))
    for split, start, end in spans(len(clicks)):
        clicks.iloc[start:end].reset_index(drop=True).to_feather(out / f"{split}.feather")


if __name__ == "__main__":
    prepare(*arguments())
