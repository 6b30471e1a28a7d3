"""Raw clicks in Criteo's format with about one distinct id per row, for the systems that prepare them.

    raw = make_raw(Path("build/bench"), rows=1_000_000)          # label, I1-I13, C1-C26; tabs, no header

Field sizes and skew of the ids are the workload's (`bench.workload`) with 1.18 ids to draw from per row, so that a file
four times as long has four times as many distinct ids: the hard case for memory. Counts, and the shares of missing
cells, are those of the published Criteo sample. Ids lie below 80000000: TorchRec reads them as int32, and numpy 2
refuses larger ones. A file is made once per (rows, seed) and kept. Run as a program it makes one:

    python -m bench.raw_clicks build/bench 1000000
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bench.prepare_work import COLUMNS, IDS, NUMBERS, SEPARATOR
from bench.workload import SEED, draw_rows, field_sizes
from ctrfast.data.ahead import in_order
from ctrfast.data.profiles import PROFILES
from ctrfast.data.teacher import count_values
from ctrfast.folders import new_file

IDS_PER_ROW = 1.18  # to draw from; most of them are drawn
_BLOCK = 65_536  # rows with a random stream of their own
_DIGITS = 8
_PROFILE = PROFILES["criteo"]
_MISSING = np.array(
    [*(_PROFILE.counts[name].missing for name in NUMBERS), *(_PROFILE.ids[name].missing for name in IDS)], np.float32
)


def make_raw(root: Path, rows: int) -> Path:
    """The file with so many rows, made where it is not there yet."""
    out = root / f"criteo-{rows}-{SEED}.tsv"
    if out.is_file():
        return out
    sizes = field_sizes(round(rows * IDS_PER_ROW))
    root.mkdir(parents=True, exist_ok=True)
    with new_file(out) as unfinished, unfinished.open("wb") as file:
        for text in in_order(partial(_block, rows=rows, sizes=sizes), range(-(-rows // _BLOCK))):
            file.write(text)
    return out


def _block(index: int, rows: int, sizes: Sequence[int]) -> bytes:
    """Lines of block number `index` of a file with so many rows."""
    rng = np.random.default_rng((SEED, index))
    drawn = draw_rows(rng, sizes, min(_BLOCK, rows - index * _BLOCK))
    missing = rng.random((len(drawn), len(_MISSING)), np.float32) < _MISSING
    columns = [pa.array(drawn.labels.astype(np.int8))]
    for place, name in enumerate(NUMBERS):
        counts = count_values(_PROFILE.counts[name], drawn.numbers[:, place]).astype(np.int64)
        columns.append(pa.array(counts, mask=missing[:, place]))
    for place in range(len(IDS)):
        columns.append(_texts(drawn.ids[:, place], place, missing[:, len(NUMBERS) + place]))
    buffer = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter=SEPARATOR, quoting_style="none", batch_size=8192)
    pyarrow.csv.write_csv(pa.table(columns, names=list(COLUMNS)), buffer, options)
    return buffer.getvalue()


def _texts(ranks: npt.NDArray[np.int32], field: int, missing: npt.NDArray[np.bool_]) -> pa.Array:
    """Ids of a field as text: a rank times an odd number, modulo 2^31, so that no two ranks share an id."""
    spread = ranks.astype(np.uint32) * np.uint32(0x9E3779B1) + np.uint32((field + 1) * 0x05EBCA6B)
    ids = spread & np.uint32(0x7FFFFFFF)
    digits = ids.astype(">u4").tobytes().hex().encode()
    offsets = np.arange(0, _DIGITS * len(ids) + 1, _DIGITS, dtype=np.int32)
    texts = pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))
    return pc.if_else(pa.array(missing), pa.scalar(None, pa.string()), texts) if missing.any() else texts


if __name__ == "__main__":
    make_raw(Path(sys.argv[1]), rows=int(sys.argv[2]))
