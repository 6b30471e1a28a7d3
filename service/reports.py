"""Reports that take seconds to make, made when first asked for and kept: a dataset's, and the page of a sweep.

A dataset never changes, so neither does its report: it lies under HOME/reports, named by the dataset's hash, ctrfast's
version and the report's form. Making one reads the whole dataset. The page of a sweep has pictures; the last few are
kept in memory, by a hash of what they show, since a retry changes that. Of each of the two one is made at a time, in a
thread of the pool, and whoever comes meanwhile is soon told to ask again.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ctrfast._version import VERSION
from ctrfast.data.report import DataReport, inspect_dataset
from ctrfast.data.report.contents import FORMAT
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.folders import write_file
from service.datasets import DatasetStore
from service.job_pages import sweep_page
from service.job_reports import SweepReport
from service.one_at_a_time import OneAtATime
from service.places import folder_of, place_of
from service.problems import DatasetUnavailableError
from service.settings import Settings
from service.tables import DatasetRow

_MOST_SWEEP_PAGES = 16  # of about half a megabyte


class ReportShelf:
    """Reports by the name of their dataset, in one project. Files are shared: their name is that of the content."""

    def __init__(self, settings: Settings, datasets: DatasetStore) -> None:
        self._settings = settings
        self._datasets = datasets
        self._turns = OneAtATime("Another report")
        self._page_turns = OneAtATime("Another sweep's page")
        self._sweep_pages: dict[str, bytes] = {}

    def of(self, project: str) -> ReportShelf:
        """The reports of another project. They take turns with all others."""
        other = copy.copy(self)
        other._datasets = self._datasets.of(project)
        return other

    def json(self, name: str) -> bytes:
        """The report as JSON.

        Raises:
            NotFoundError: there is no such dataset.
            DatasetUnavailableError: its folder is missing or was changed.
            NotReadyError: another report is being made.
        """
        row = self._datasets.get(name)
        return self._kept(self._file(row, "json"), lambda: _to_json(_inspect(row)))

    def page(self, name: str) -> bytes:
        """The report as an HTML page. Raises as `json` does."""
        row = self._datasets.get(name)

        def draw() -> bytes:
            from ctrfast.data.report.page import page  # matplotlib, which the API does without until then

            file = self._file(row, "json")
            if not file.is_file():
                write_file(file, _to_json(_inspect(row)))
            return page(DataReport.model_validate_json(file.read_bytes())).encode()

        return self._kept(self._file(row, "html"), draw)

    def sweep_page(self, report: SweepReport) -> bytes:
        """A sweep's report as an HTML page. Raises NotReadyError: another sweep's page is being made."""
        shown = hashlib.sha256(report.model_dump_json().encode()).hexdigest()
        page = self._sweep_pages.get(shown)
        if page is not None:
            return page
        with self._page_turns.turn():
            page = self._sweep_pages.get(shown) or sweep_page(report).encode()
            self._sweep_pages[shown] = page
            if len(self._sweep_pages) > _MOST_SWEEP_PAGES:
                del self._sweep_pages[next(iter(self._sweep_pages))]
        return page

    def _file(self, row: DatasetRow, form: str) -> Path:
        return self._settings.report_folder / f"{row.hash}-{VERSION}-{FORMAT}.{form}"

    def _kept(self, file: Path, make: Callable[[], bytes]) -> bytes:
        if file.is_file():
            return file.read_bytes()
        with self._turns.turn():
            if not file.is_file():  # the one who was at work may have made it
                write_file(file, make())
        return file.read_bytes()


def _inspect(row: DatasetRow) -> DataReport:
    with ExitStack() as stack:
        try:
            dataset = Dataset.open(stack.enter_context(folder_of(place_of(row.path))))
        except ArtifactError as error:
            raise DatasetUnavailableError(
                f"The files of the dataset {row.name!r} are missing or were changed."
            ) from error
        if dataset.hash != row.hash:
            raise DatasetUnavailableError(f"The folder of the dataset {row.name!r} holds another dataset now.")
        return inspect_dataset(dataset)


def _to_json(report: DataReport) -> bytes:
    return report.model_dump_json().encode()
