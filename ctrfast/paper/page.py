"""The report of the paper's table as one HTML page: nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ctrfast.data.report.tags import Cell, document, plain, table, text
from ctrfast.folders import write_file
from ctrfast.paper.table import PaperTable

REPORT = "report.html"
_PUBLISHED = "Dashed: as published, on other rows and another machine."


def write_report(made: PaperTable, out: Path) -> Path:
    """Write the report into a folder; its file."""
    file = out / REPORT
    write_file(file, _page(made))
    return file


def _page(made: PaperTable) -> str:
    rows: list[list[Cell]] = [[plain(name), *figures] for name, *figures in made.cells()]
    parts = [
        *_pictures(made),
        table("Test figures", made.HEAD, rows),
        *(f"<p>{text(note)}</p>" for note in made.notes),
    ]
    return document(made.title, parts)


def _pictures(made: PaperTable) -> Iterator[str]:
    import pandas as pd  # which takes a second to load, as does matplotlib

    from ctrfast.lab.batch_size_page import EPOCH_TIME, batch_size_figures

    runs = pd.DataFrame(made.runs())
    references = {"test_auc": made.published_auc(), EPOCH_TIME: made.published_epoch_s()}
    notes = {column: _PUBLISHED for column, lines in references.items() if lines}
    yield from batch_size_figures(runs, references=references, notes=notes)
