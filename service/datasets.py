"""The register of datasets: a name for a folder that `ctrfast prepare` wrote, with what its manifest says.

A name stands for one content for good. What is asked often (rows, label rate, table rows) is kept in the row; of all
requests for a known dataset, only a plan reads the folder.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ctrfast.data.shards import Dataset
from ctrfast.schema import SPLITS
from ctrfast.store.artefacts import find, publish
from service.database import Database
from service.folders import put_in_place
from service.places import Place, folder_of, is_small
from service.problems import NameTakenError, NotFoundError
from service.projects import DEFAULT_PROJECT
from service.tables import DatasetRow


class DatasetStore:
    """Datasets of one project, by name."""

    def __init__(self, database: Database, project: str = DEFAULT_PROJECT) -> None:
        self._database = database
        self._project = project

    def of(self, project: str) -> DatasetStore:
        """The datasets of another project."""
        return DatasetStore(self._database, project)

    def register(self, name: str, place: Place) -> DatasetRow:
        """Give a dataset a name. The same content from another place moves the name there.

        Of one in an object store the manifest is read; the files are compared by each job that reads them.

        Raises:
            ArtifactError: there is no whole dataset at `place`.
            NameTakenError: the name stands for another dataset.
            ConfigError, StoreUnavailableError: of the store.
        """
        with folder_of(place, is_small) as folder:
            row = _describe(self._project, name, Dataset.open(folder, verify=folder == place), place)
        try:
            with self._database.write() as session:
                known = session.get(DatasetRow, (self._project, name))
                if known is None:
                    session.add(row)
                    return row
        except IntegrityError:  # somebody registered it between our look and our write
            pass
        with self._database.write() as session:
            known = session.get_one(DatasetRow, (self._project, name), with_for_update=True)
            if known.hash != row.hash:
                raise NameTakenError(
                    f"The dataset {name!r} exists and holds other data. Choose another name.", path="name"
                )
            known.path = row.path
        return known

    def deliver(self, session: Session, name: str, prepared: Path, target: Place, job_id: str) -> DatasetRow:
        """Put a prepared folder in place and register it, in the caller's transaction.

        Args:
            session: the transaction.
            name: of the dataset.
            prepared: the folder.
            target: where it goes; in an object store, below there.
            job_id: of the prepare job.

        Raises:
            NameTakenError: the name was given meanwhile.
        """
        if session.get(DatasetRow, (self._project, name)) is not None:
            raise NameTakenError(
                f"The dataset {name!r} was registered by somebody else meanwhile. Choose another name."
            )
        fresh = Dataset.open(prepared, verify=False)  # the job has just written it
        if not isinstance(target, Path):
            target /= fresh.hash
        row = _describe(self._project, name, fresh, target)
        row.job_id = job_id
        session.add(row)
        session.flush()  # the name is ours, or this raises, before the folder moves
        if isinstance(target, Path):
            put_in_place(prepared, target)
        else:
            if find(target) is None:  # the job's process has published it, as a rule
                publish(prepared, target)
            shutil.rmtree(prepared)
        return row

    def find(self, name: str) -> DatasetRow | None:
        """One dataset, or None."""
        with self._database.read() as session:
            return session.get(DatasetRow, (self._project, name))

    def get(self, name: str) -> DatasetRow:
        """One dataset. Raises NotFoundError."""
        row = self.find(name)
        if row is None:
            raise NotFoundError("dataset", name, self.names())
        return row

    def all(self) -> Sequence[DatasetRow]:
        """All datasets, by name."""
        with self._database.read() as session:
            query = select(DatasetRow).where(DatasetRow.project == self._project).order_by(DatasetRow.name)
            return session.scalars(query).all()

    def names(self) -> Sequence[str]:
        """All names."""
        with self._database.read() as session:
            query = select(DatasetRow.name).where(DatasetRow.project == self._project).order_by(DatasetRow.name)
            return session.scalars(query).all()


def _describe(project: str, name: str, dataset: Dataset, place: Place) -> DatasetRow:
    rows = {split: dataset.rows(split) for split in SPLITS}
    label_rate = {split: dataset.label_rate(split) if rows[split] else None for split in SPLITS}
    return DatasetRow(
        project=project,
        name=name,
        path=str(place),
        hash=dataset.hash,
        preset=dataset.fitted.schema_.name,
        rows=rows,
        label_rate=label_rate,
        table_rows=dataset.fitted.table_rows,
        created_at=time.time(),
    )
