"""What a benchmark leaves behind: `bench/results/NAME.md` (tables), `NAME.json` (raw figures) and `NAME.png` (plot).

    report = Report("input", "Input alone", tables=[Table("Rows/s", ["reader", "rows/s"], [["ctrfast", "1,900,000"]])],
                    notes=["..."], figures={"rows_per_s": {...}})
    write(report, draw=lambda axes: axes.bar(...))

Each file says on what machine, with which versions, seed and command, and when it was made.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.workload import SEED

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("ctrfast", "tensorflow", "numpy", "pyarrow")


@dataclass(frozen=True)
class Table:
    """title, header and cells as text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table in Markdown: the first column to the left, figures to the right, padded to be read as text too."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.header))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        padded = [
            " | ".join(
                cell.ljust(width) if not index else cell.rjust(width) for index, (cell, width) in enumerate(pairs)
            )
            for pairs in (list(zip(line, widths, strict=True)) for line in (lines[0], rule, *lines[1:]))
        ]
        return "\n".join([f"## {self.title}", "", *(f"| {line} |" for line in padded)])


@dataclass(frozen=True)
class Report:
    """figures: raw, as measured, for JSON. versions: of packages beside ctrfast's own."""

    name: str
    title: str
    tables: Sequence[Table]
    notes: Sequence[str]
    figures: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)


def write(report: Report, draw: Callable[[Axes], None]) -> None:
    """Write the three files, and print the tables."""
    RESULTS.mkdir(exist_ok=True)
    made = _circumstances(report)
    body = "\n\n".join(
        [*(table.markdown() for table in report.tables), "\n".join(f"- {note}" for note in report.notes)]
    )
    foot = "\n".join(f"- {name}: {value}" for name, value in made.items() if name != "versions")
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    text = f"# {report.title}\n\n{body}\n\n## Made\n\n{foot}\n- versions: {versions}\n\n![plot]({report.name}.png)\n"
    (RESULTS / f"{report.name}.md").write_text(text, encoding="utf-8")
    content = {**made, "title": report.title, "notes": list(report.notes), "figures": report.figures}
    (RESULTS / f"{report.name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(report.title, fontsize=11)
    draw(axes)
    figure.savefig(RESULTS / f"{report.name}.png", dpi=110)
    print(body)


def spread(values: Sequence[float], decimals: int = 0) -> str:
    """Median and range of figures: `31,800 (30,950-32,010)`."""
    median, least, most = (f"{value:,.{decimals}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median} ({least}-{most})"


def _circumstances(report: Report) -> dict[str, Any]:
    versions = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}, **report.versions}
    module = sys.modules["__main__"].__spec__
    program = f"python -m {module.name}" if module else Path(sys.argv[0]).name
    return {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB of memory, {platform.system()}",
        "seed": SEED,
        "command": shlex.join([*program.split(), *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "load_average": " ".join(f"{load:.1f}" for load in os.getloadavg()) + " (1, 5, 15 minutes, at the end)",
        "versions": versions,
    }


def _cpu() -> str:
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return platform.processor() or platform.machine()
    model = next((line for line in listing.read_text().splitlines() if line.startswith("model name")), "")
    return model.partition(":")[2].strip() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
