"""Request bodies from held-out impressions: a file of JSON lines for each form and size.

    write_bodies(raw, rows=50_000, out=folder)      # from the last 50,000 lines of the raw file
    folder / body_file("instances", 100)            # its path

instances   {"instances": [{"I1": 3, "C1": "68fd1e64", ...}, ...]}; what is missing is left out
context     {"model": "ctr", "context": {13 counts, 16 ids}, "candidates": [{10 ids}, ...]}
v2          Open Inference Protocol: tensors `ids` (n, 26) of text and `numbers` (n, 13), missing as null
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.prepare_work import COLUMNS, IDS, NUMBERS, SEPARATOR
from bench.serving_model import NAME

SIZES = {1: 2000, 100: 200}  # rows in a body -> how many different bodies
_CONTEXT = (*NUMBERS, *IDS[:16])  # of the user and the page; the other ids are the candidate's
_CANDIDATE = IDS[16:]

Row = Mapping[str, str | int]


def body_file(form: str, size: int) -> str:
    """The name of the file with bodies of so many rows."""
    return f"{form}-{size}.jsonl"


def last_rows(raw: Path, rows: int) -> list[Row]:
    """The last impressions of a raw file in Criteo's format, as a client sends them: what is missing is left out."""
    with raw.open(encoding="utf-8") as file:
        return [_row(line.rstrip("\n").split(SEPARATOR)) for line in deque(file, maxlen=rows)]


def write_bodies(raw: Path, rows: int, out: Path) -> None:
    """Write a file for each form and size, from the last lines of a raw file."""
    held_out = last_rows(raw, rows)
    for form, body_of in FORMS.items():
        for size, bodies in SIZES.items():
            starts = [index * size % (len(held_out) - size + 1) for index in range(bodies)]
            lines = [json.dumps(body_of(held_out[start : start + size])) for start in starts]
            (out / body_file(form, size)).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(cells: Sequence[str]) -> Row:
    return {
        name: int(cell) if name in NUMBERS else cell
        for name, cell in zip(COLUMNS, cells, strict=True)
        if cell and (name in NUMBERS or name in IDS)
    }


def _instances(rows: Sequence[Row]) -> object:
    return {"instances": rows}


def _context(rows: Sequence[Row]) -> object:
    candidates = [{name: row[name] for name in _CANDIDATE if name in row} for row in rows]
    return {
        "model": NAME,
        "context": {name: rows[0][name] for name in _CONTEXT if name in rows[0]},
        "candidates": candidates,
    }


def _v2(rows: Sequence[Row]) -> object:
    parts = (("ids", "BYTES", IDS), ("numbers", "FP64", NUMBERS))
    return {
        "inputs": [
            {
                "name": name,
                "datatype": datatype,
                "shape": [len(rows), len(fields)],
                "data": [row.get(field) for row in rows for field in fields],
            }
            for name, datatype, fields in parts
        ]
    }


FORMS: Mapping[str, Callable[[Sequence[Row]], object]] = {"instances": _instances, "context": _context, "v2": _v2}
