"""Commands' inputs and outputs that may be in an object store: read from a local view, written here and published.

    with input_folder("s3://data/criteo") as folder: ...     # a path of this machine is taken as it is
    output = Output("s3://runs/first")
    train(dataset, config, output.path)
    output.deliver()

What is made lies under CTRFAST_CACHE/staging until it is in the store: work that was killed goes on there, and what is
finished is not lost where the store is away.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctrfast.errors import ConfigError, CtrFastError
from ctrfast.file_lock import run_lock
from ctrfast.store.address import Address, is_stored
from ctrfast.store.artefacts import find, opened, publish, refuse_taken
from ctrfast.store.cache import Cache
from ctrfast.store.mirror import mirrored, take_up


@contextmanager
def input_folder(given: str, path: str | None = None) -> Iterator[Path]:
    """The folder of an artefact, which is gone when the block ends if it was in the store.

    Args:
        given: a path of this machine, or an address.
        path: the setting that holds it, for the error.
    """
    if not is_stored(given):
        yield Path(given)
        return
    with opened(Address.parse(given, path)) as folder:
        yield folder


def is_artefact(given: str) -> bool:
    """Whether an address names a whole artefact, and not raw files, which may hold options and need no boto3."""
    is_raw = not is_stored(given) or "?" in given or "@" in given or importlib.util.find_spec("boto3") is None
    return not is_raw and find(Address.parse(given)) is not None


def local_path(given: str) -> Path:
    """A path of this machine. Raises ConfigError for an address."""
    if is_stored(given):
        raise ConfigError(f"`out` must be on this machine. Got {given}. Choose a path.", path="out")
    return Path(given)


class Output:
    """Where a command writes an artefact.

    Args:
        given: a path of this machine, or an address at which there must be nothing.

    Raises:
        ConfigError: something is at the address already.
    """

    def __init__(self, given: str) -> None:
        self.address = Address.parse(given, "out") if is_stored(given) else None
        if self.address is None:
            self.path = Path(given)
            return
        if not self.address.key:
            raise ConfigError(f"`out` must name a place in the bucket. Got {given}. Add a prefix.", path="out")
        refuse_taken(self.address)
        digest = hashlib.sha256(str(self.address).encode()).hexdigest()[:16]
        self.path = Cache.of_environment().staging / digest / self.address.name

    def take_up(self) -> None:
        """Take up a run that was stopped on another machine, if it is further on there than here.

        Raises:
            ConfigError: another process here is training the run.
        """
        if self.address is not None:
            with run_lock(self.path) as lock:
                lock.take()
                take_up(self.address, self.path)

    def deliver(self) -> None:
        """Publish what lies at `path`.

        Raises:
            CtrFastError: it cannot be published; it is kept, and the message says where.
        """
        if self.address is None:
            return
        try:
            publish(self.path, self.address)
        except CtrFastError as error:
            error.message += f" The work is kept: `ctrfast copy {self.path} {self.address}` publishes it."
            error.args = (error.message,)
            raise
        shutil.rmtree(self.path.parent)

    @contextmanager
    def mirrored(self) -> Iterator[None]:
        """Copy each new checkpoint of the run at `path` to the store meanwhile (`ctrfast.store.mirror`)."""
        if self.address is None:
            yield
            return
        with mirrored(self.path, self.address):
            yield
