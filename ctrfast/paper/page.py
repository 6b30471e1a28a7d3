"""The report of the paper's table as one HTML page: nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from pathlib import Path

from ctrfast.data.report.tags import Cell, document, plain, table, text
from ctrfast.folders import write_file
from ctrfast.paper.table import PaperTable

REPORT = "report.html"


def write_report(made: PaperTable, out: Path) -> Path:
    """Write the report into a folder; its file."""
    file = out / REPORT
    write_file(file, _page(made))
    return file


def _page(made: PaperTable) -> str:
    from ctrfast.paper.picture import draw_auc  # matplotlib, which takes a second to load

    picture = base64.b64encode(draw_auc(made)).decode()
    alt = "Test AUC against batch size, a line per network; published figures are dashed."
    rows: list[list[Cell]] = [[plain(name), *figures] for name, *figures in made.cells()]
    parts = [
        f'<figure><img src="data:image/svg+xml;base64,{picture}" alt="{alt}"><figcaption>{alt}</figcaption></figure>',
        table("Test figures", made.HEAD, rows),
        *(f"<p>{text(note)}</p>" for note in made.notes),
    ]
    return document(made.title, parts)
