"""Preparation by TorchRec's Criteo utilities: text -> npy, then contiguous ids.

It takes a file per day; here the days are the splits, which are cut from the raw file first. It counts ids over all
files that it makes contiguous, the test rows too: no way is offered to count one and encode another. Ids rarer than the
threshold are 1; missing ids are a value; numbers are ln(x + 3).
"""

from __future__ import annotations

from pathlib import Path

from torchrec.datasets.criteo import BinaryCriteoUtils

from bench.peers.text_splits import cut
from bench.prepare_work import MIN_COUNT, arguments


def prepare(raw: Path, out: Path) -> None:
    texts = out / "texts"
    texts.mkdir()
    sparse = []
    for split, text in cut(raw, texts).items():
        dense, ids, labels = (str(out / f"{split}_{part}.npy") for part in ("dense", "sparse", "labels"))
        BinaryCriteoUtils.tsv_to_npys(str(text), dense, ids, labels)
        sparse.append(ids)
    BinaryCriteoUtils.sparse_to_contiguous(sparse, str(out), frequency_threshold=MIN_COUNT)


if __name__ == "__main__":
    prepare(*arguments())
