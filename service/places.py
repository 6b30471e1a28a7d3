"""Where models, datasets and runs lie: in folders of HOME, or with CTRFAST_ARTIFACTS in an object store for all hosts.

    ROOT/models/PROJECT/NAME/<sha256 of its manifest>     a published bundle; the registry's row has the hash
    ROOT/datasets/PROJECT/NAME/<its hash>                 a dataset that the service prepared
    ROOT/jobs/ID/run, ROOT/jobs/ID/outputs                a job's run, also unfinished, and its files

A job's process publishes before it says that it is done, while its lease is kept. What it publishes is named by its
content, so a worker that lost its lease replaces nothing: the row that the registry writes afterwards, in the
transaction that checks the lease, is what makes a version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctrfast.data.encode import SCHEMA_FILE
from ctrfast.folders import MANIFEST
from ctrfast.store.address import Address, is_stored
from ctrfast.store.artefacts import opened
from service.settings import Settings

Place = Path | Address


def is_small(name: str) -> bool:
    """Whether a file of a dataset or bundle is one that says what it is, without rows and weights."""
    return name in {MANIFEST, SCHEMA_FILE}


@dataclass(frozen=True)
class Store:
    """The object store of a service. root: CTRFAST_ARTIFACTS."""

    root: Address

    @property
    def models(self) -> Address:
        """Of all bundles."""
        return self.root / "models"

    def bundles(self, project: str, name: str) -> Address:
        """Of a model; each version's is below, named by the sha256 of its manifest."""
        return self.models / project / name

    def datasets(self, project: str, name: str) -> Address:
        """Of a name; the dataset is below, named by its hash."""
        return self.root / "datasets" / project / name

    def run(self, job_id: str) -> Address:
        """Of a train job."""
        return self.root / "jobs" / job_id / "run"

    def outputs(self, job_id: str) -> Address:
        """Of a job's files."""
        return self.root / "jobs" / job_id / "outputs"


def store_of(settings: Settings) -> Store | None:
    """The store that the settings name; None where all lies in HOME."""
    return None if settings.artifacts is None else Store(Address.parse(settings.artifacts))


def place_of(path: str) -> Place:
    """What a dataset's row says, as a place."""
    return Address.parse(path) if is_stored(path) else Path(path)


@contextmanager
def folder_of(place: Place, wanted: Callable[[str], bool] = lambda _: True, name: str | None = None) -> Iterator[Path]:
    """A folder with what lies at a place; for one in the store, a local view with the `wanted` files.

    Raises:
        ArtifactError: it is not in the store, or was changed. ConfigError, StoreUnavailableError: of the store.
    """
    if isinstance(place, Path):
        yield place
        return
    with opened(place, wanted, name) as folder:
        yield folder
