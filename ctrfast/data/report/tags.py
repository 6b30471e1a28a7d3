"""The few HTML parts of the report's page, which escape the words that they are given.

`text` turns words into HTML; `table` and `details` take words, and HTML parts where they say so.

    text("<script>")                                                        # '&lt;script&gt;'
    table("Rows by split", ("split", "rows"), [["train", "1,000"]])         # '<div class="scroll" ...'
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ctrfast._version import VERSION

_LEFT = ' class="text"'
LONGEST = 60  # characters of a value that are shown

# As a tag and, by the service, as a header: even if a value slipped through, no script would run, nothing be loaded.
SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

STYLE = """
:root{color-scheme:light dark;--ground:#fff;--text:#222;--faint:#5f5f5f;--line:#d5d5d5;--panel:#f5f5f5;--mark:#b04a00}
@media (prefers-color-scheme:dark){:root{--ground:#161616;--text:#e4e4e4;--faint:#a8a8a8;--line:#3d3d3d;
--panel:#222;--mark:#f0a03c}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif}
main{max-width:70rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:0}
p{margin:.5rem 0;max-width:44rem}
figure{margin:1.5rem 0}
img{display:block;width:100%;max-width:44rem;height:auto}
figcaption{color:var(--faint);margin:.25rem 0}
summary{cursor:pointer}
.scroll{overflow-x:auto;margin:.5rem 0}
.scroll:focus-visible,summary:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.25rem 0;white-space:nowrap}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);text-align:right;vertical-align:bottom}
td{white-space:nowrap}
th:first-child,.text{text-align:left}
tbody th{font-weight:600;white-space:nowrap;position:sticky;left:0;background:var(--ground)}
.warning{background:var(--panel);border-left:4px solid var(--mark);padding:.6rem .9rem;margin:.75rem 0}
.warning p,.warning ul{margin:.25rem 0 0}
.warning ul{padding-left:1.2rem}
.warning li{overflow-wrap:anywhere}
footer{margin-top:3rem;color:var(--faint);font-size:.875rem;overflow-wrap:anywhere}
@media (max-width:40rem){table{width:max-content}
tbody th bdi{display:block;max-width:8.5rem;white-space:normal;overflow-wrap:anywhere}}
@media print{details::details-content{content-visibility:visible}.scroll{overflow:visible}}
"""


@dataclass(frozen=True)
class Plain:
    """A cell of words from the data: left-aligned, cut where it is long."""

    text: str


Cell = str | Plain


def plain(value: str) -> Plain:
    """Words from the data as a cell."""
    return Plain(value)


def text(value: str) -> str:
    """Plain text as HTML. What no page can show becomes a replacement character; its direction ends with it."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    return html.escape(shown)


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table of at least one row, with a caption; the first cell of each row heads it.

    It scrolls sideways where it is too wide. Columns of words are those where the first row has words.
    """
    words = [isinstance(cell, Plain) for cell in rows[0]]
    columns = "".join(
        f'<th scope="col"{_LEFT if is_words else ""}>{text(name)}</th>'
        for name, is_words in zip(head, words, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{_cell(row[0])}</th>{"".join(_data(cell) for cell in row[1:])}</tr>' for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(_short(caption))}"><table>'
        f"<caption>{text(_short(caption))}</caption><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def document(title: str, parts: Sequence[str], *, about: str = "") -> str:
    """A whole page of HTML parts; empty ones are left out. about: HTML for its foot, beside the version."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{SECURITY_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{text(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{text(title)}</h1>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<footer><p>ctrfast {VERSION}{about}</p></footer>\n</main>\n</body>\n</html>\n"
    )


def details(summary: str, *parts: str) -> str:
    """HTML parts that open on demand."""
    return f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>"


def _data(cell: Cell) -> str:
    return f"<td{_LEFT if isinstance(cell, Plain) else ''}>{_cell(cell)}</td>"


def _cell(cell: Cell) -> str:
    return f"<bdi>{text(_short(cell.text))}</bdi>" if isinstance(cell, Plain) else text(cell)


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
