"""Is a folder the one that a register has written down? Its name says where to look, its hash says what must be there.

A folder's own manifest tells a changed file, not a folder that was exchanged as a whole; the register's hash does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from ctrfast.data.encode import SCHEMA_FILE
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.file_stamps import Stamp, file_stamp
from ctrfast.folders import MANIFEST, file_hash
from service.places import folder_of, is_small, place_of
from service.tables import DatasetRow

_DATASETS_KEPT = 64


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
    dataset = Dataset.open(path, verify=True) if verify else _open_again(path)
    if dataset.hash != dataset_hash:
        raise ArtifactError(
            f"The dataset at {path} is not the one that was registered. "
            "Register the new content under a name of its own, or put the old one back."
        )
    return dataset


@contextmanager
def described(row: DatasetRow) -> Iterator[tuple[Dataset, bool]]:
    """A registered dataset to look at, and whether its files are at hand: those in an object store are left there.

    Raises:
        ArtifactError: as `open_registered`. ConfigError, StoreUnavailableError: of the store.
    """
    place = place_of(row.path)
    with folder_of(place, is_small) as folder:
        yield open_registered(folder, row.hash, verify=False), isinstance(place, Path)


def _open_again(path: Path) -> Dataset:
    """Open a dataset, by what was read before where its manifest and schema have not changed since."""
    files = (path / MANIFEST, path / SCHEMA_FILE)
    if not all(file.is_file() for file in files):
        return Dataset.open(path, verify=False)
    return _open(path, tuple(file_stamp(file) for file in files))


@lru_cache(maxsize=_DATASETS_KEPT)
def _open(path: Path, _stamps: tuple[Stamp, ...]) -> Dataset:
    return Dataset.open(path, verify=False)
