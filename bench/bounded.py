"""Does `ctrfast prepare` stay within its memory limit on an input many times as large? Exit code 1 if not.

Rows of about 1 KiB: a URL-like id of 900 characters, of which there are 20,000, is the worst kind of text for memory.
The input has `--times` the bytes that the smallest limit leaves beyond the program itself. Prints one line.

    python -m bench.bounded                 # 1 GiB against 768 MiB, of which 256 MiB are beyond the program
    python -m bench.bounded --times 16      # as `make bench-bounded BENCH_OPTIONS='--times 16'`

`make bench-prepare BENCH_OPTIONS='--memory-limit 768MB'` does it on 16 million rows in Criteo's form (3 GiB).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.turns import SystemFailedError
from bench.watched import Watched
from ctrfast.data.prepare import BASE_MEMORY, SMALLEST_MEMORY

_VALUES = 20_000
_BLOCK_ROWS = 8192
_URL = b"https://example.org/" + b"x" * 875
_SCHEMA = """
name: urls
columns: [label, n, url, b]
label: label
numeric_fields: [{name: n}]
id_fields: [{name: url}, {name: b}]
"""


def write_rows(path: Path, size: int) -> int:
    """Rows of at least `size` bytes together; returns how many bytes there are."""
    rng, written = np.random.default_rng(1), 0
    with path.open("wb") as file:
        while written < size:
            ids = rng.integers(0, _VALUES, _BLOCK_ROWS).tolist()
            written += file.write(b"".join(b"%d\t%d\t%s%d\tb%d\n" % (i & 1, i % 97, _URL, i, i % 1000) for i in ids))
    return written


def peak_of(folder: Path, raw: Path) -> int:
    """Bytes of `ctrfast prepare` at its peak, under the smallest limit. Raises SystemFailedError."""
    (folder / "schema.yaml").write_text(_SCHEMA, encoding="utf-8")
    program = str(Path(sys.executable).with_name("ctrfast"))
    how = ["--schema", str(folder / "schema.yaml"), "--memory-limit", str(SMALLEST_MEMORY)]
    return Watched("ctrfast", [program, "prepare", str(raw), *how, "--out", str(folder / "out")]).peak_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=float, default=4.0, help="input by what the limit leaves beyond the program")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are, for this run")
    arguments = parser.parse_args()
    beyond = SMALLEST_MEMORY - BASE_MEMORY
    arguments.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        size = write_rows(Path(folder) / "raw.tsv", round(arguments.times * beyond))
        try:
            peak = peak_of(Path(folder), Path(folder) / "raw.tsv")
        except SystemFailedError as error:
            raise SystemExit(str(error)) from None
    print(
        f"input {size / 2**20:,.0f} MiB, {size / beyond:.1f} times the {beyond / 2**20:,.0f} MiB beyond the program; "
        f"limit {SMALLEST_MEMORY / 2**20:,.0f} MiB, peak {peak / 2**20:,.0f} MiB"
    )
    if peak > SMALLEST_MEMORY:
        raise SystemExit("The peak is above the limit.")


if __name__ == "__main__":
    main()
