"""Is a folder the one that a register has written down? Its name says where to look, its hash says what must be there.

A folder's own manifest tells a changed file, not a folder that was exchanged as a whole; the register's hash does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.folders import MANIFEST, file_hash
from service.places import folder_of, is_small, place_of
from service.tables import DatasetRow


def require_bundle(folder: Path, sha256: str) -> None:
    """Compare a bundle's manifest, which holds the hashes of all its files, with the registry.

    Raises:
        ArtifactError: it is missing or another one.
    """
    try:
        found = file_hash(folder / MANIFEST)
    except FileNotFoundError as error:
        raise ArtifactError(f"There is no bundle at {folder}. Publish the model again.") from error
    if found != sha256:
        raise ArtifactError(f"The bundle {folder} is not the one that was published. Publish the model again.")


def open_registered(path: Path, dataset_hash: str, *, verify: bool) -> Dataset:
    """Open a dataset and compare it with its register.

    Args:
        path: its folder.
        dataset_hash: `Dataset.hash` when it was registered.
        verify: compare each file with the manifest too.

    Raises:
        ArtifactError: it is missing, was changed, or is another dataset than the one that was registered.
    """
    dataset = Dataset.open(path, verify=verify)
    if dataset.hash != dataset_hash:
        raise ArtifactError(
            f"The dataset at {path} is not the one that was registered. "
            "Register the new content under a name of its own, or put the old one back."
        )
    return dataset


@contextmanager
def described(row: DatasetRow) -> Iterator[tuple[Dataset, bool]]:
    """A registered dataset to look at, and whether its rows are at hand: those in an object store are left there.

    Raises:
        ArtifactError: as `open_registered`. ConfigError, StoreUnavailableError: of the store.
    """
    place = place_of(row.path)
    with folder_of(place, is_small) as folder:
        yield open_registered(folder, row.hash, verify=False), isinstance(place, Path)
