"""One text file per split, for tools that take their splits as files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from bench.prepare_work import spans

_CHUNK_BYTES = 1 << 24


def cut(raw: Path, folder: Path, header: str = "") -> dict[str, Path]:
    """Copy the lines of each split to `FOLDER/SPLIT.tsv`, after a header. Returns the files by split."""
    with raw.open("rb") as file:
        rows = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""))
    files = {}
    with raw.open("rb") as file:
        for split, start, end in spans(rows):
            files[split] = folder / f"{split}.tsv"
            with files[split].open("wb") as part:
                part.write(header.encode())
                part.writelines(islice(file, end - start))
    return files
