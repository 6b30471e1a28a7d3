"""Published models in memory: found by alias or version, loaded in the background, swapped by pointer.

An alias is answered from a table that is read again every `alias_refresh_s`; a version that an alias newly points at is
loaded and verified in a thread while the one before goes on answering. A version that cannot be loaded never replaces
one that can; it is tried again after a wait that doubles, or at once when an alias is put on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.exc import SQLAlchemyError

from ctrfast.errors import CtrFastError
from ctrfast.score import Scorer
from service.paths import without_server_paths
from service.problems import ModelUnavailableError, NotFoundError
from service.registry import Registry
from service.retries import Retries
from service.scoring.batches import Batches
from service.scoring.bodies import BodyReader
from service.seals import require_bundle

log = logging.getLogger("service.shelf")

Alias = tuple[str, str, str]  # project, model, alias
Key = tuple[str, str, int]  # project, model, version

_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 300.0


@dataclass(frozen=True)
class Served:
    """A model version that can score."""

    project: str
    name: str
    version: int
    scorer: Scorer

    @cached_property
    def bodies(self) -> BodyReader:
        """Reads requests in its schema."""
        return BodyReader(self.scorer.encoder.fitted.schema_)

    @cached_property
    def batches(self) -> Batches:
        """Scores the rows of several requests at once."""
        return Batches(self.scorer.score_arrays)


class Shelf:
    """Loaded versions of this process. All methods belong to one event loop.

    Args:
        registry: what is published, in any project.
        refresh_s: seconds between two looks at the aliases.
        capacity: versions held; the one that was asked for longest ago goes first.
    """

    def __init__(self, registry: Registry, refresh_s: float, capacity: int) -> None:
        self._registry = registry
        self._refresh_s = refresh_s
        self._capacity = capacity
        self._aliases: Mapping[Alias, int] = {}
        self._serving: dict[Alias, int] = {}
        self._loaded: OrderedDict[Key, Served] = OrderedDict()
        self._loading: dict[Key, asyncio.Task[Served]] = {}
        self._retries: Retries[Key] = Retries(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        self._one_at_a_time = asyncio.Semaphore(1)  # loading takes a core from scoring: never more than one

    async def by_alias(self, project: str, name: str, alias: str) -> Served:
        """The version that an alias points at.

        Raises:
            NotFoundError: there is no such model or alias.
            ModelUnavailableError: its files are missing or were changed, and no version before it is at hand.
        """
        version = self._serving.get((project, name, alias))
        if version is not None and (served := self._loaded.get((project, name, version))) is not None:
            self._loaded.move_to_end((project, name, version))
            return served
        await self._read_aliases()
        wanted = self._aliases.get((project, name, alias))
        if wanted is None:
            await asyncio.to_thread(self._registry.of(project).get, name)
            raise NotFoundError("alias", alias, of=f"model {name!r}")
        served = await self._load((project, name, wanted))
        self._serving[(project, name, alias)] = wanted
        return served

    async def by_version(self, project: str, name: str, version: int) -> Served:
        """One version. Raises NotFoundError, ModelUnavailableError."""
        key = (project, name, version)
        served = self._loaded.get(key)
        if served is not None:
            self._loaded.move_to_end(key)
            return served
        await asyncio.to_thread(self._registry.of(project).get_version, name, version)
        return await self._load(key)

    async def promote(self, project: str, name: str, alias: str, version: int) -> None:
        """Load a version, then point an alias at it: the next request is answered by it.

        Raises:
            NotFoundError, ModelUnavailableError: the alias stays where it was.
        """
        self._retries.forget((project, name, version))  # its files may have been mended: somebody wants to know now
        await self.by_version(project, name, version)
        await asyncio.to_thread(self._registry.of(project).set_alias, name, alias, version)
        await self._read_aliases()
        self._serving[(project, name, alias)] = version

    async def watch(self) -> None:
        """Follow the aliases for ever; runs as a task beside the requests."""
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await self._read_aliases()
                await self._follow()
            except SQLAlchemyError as error:
                log.warning("the aliases cannot be read: %s", type(error).__name__)
            except Exception:  # the end of this task would leave every alias where it is, for good
                log.exception("the aliases cannot be followed")

    async def _follow(self) -> None:
        for followed, version in list(self._serving.items()):
            project, name, _ = followed
            wanted = self._aliases.get(followed)
            if wanted is None:
                del self._serving[followed]
            elif wanted != version:
                try:
                    await self._load((project, name, wanted))
                except ModelUnavailableError:
                    continue  # told when it failed; the version before goes on answering
                self._serving[followed] = wanted

    async def _read_aliases(self) -> None:
        self._aliases = await asyncio.to_thread(self._registry.alias_table)

    async def _load(self, key: Key) -> Served:
        if key in self._loaded:
            return self._loaded[key]
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load_once(key))
            task.add_done_callback(lambda done: self._loaded_or_not(key, done))
        return await asyncio.shield(task)  # a caller that hangs up must not stop the load for the others

    def _loaded_or_not(self, key: Key, task: asyncio.Task[Served]) -> None:
        self._loading.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at here, since every caller may have hung up

    async def _load_once(self, key: Key) -> Served:
        project, name, version = key
        if (detail := self._retries.waiting(key)) is not None:
            raise ModelUnavailableError(detail)
        try:
            async with self._one_at_a_time:
                scorer = await asyncio.to_thread(_open, self._registry, key)
        except SQLAlchemyError:  # says nothing about the version
            raise
        except Exception as error:
            detail = f"Version {version} of the model {name!r} cannot be served: {_why(error)}"
            wait_s = self._retries.failed(key, detail)
            unexpected = None if isinstance(error, CtrFastError) else error
            log.error("%s It is tried again in %.0f s.", detail, wait_s, exc_info=unexpected)
            raise ModelUnavailableError(detail) from error
        self._retries.forget(key)
        served = self._loaded[key] = Served(project, name, version, scorer)
        while len(self._loaded) > self._capacity:
            self._loaded.popitem(last=False)
        return served


def _open(registry: Registry, key: Key) -> Scorer:
    project, name, version = key
    registry = registry.of(project)
    folder = registry.folder(name, version)
    require_bundle(folder, registry.get_version(name, version).sha256)
    return Scorer.load(folder)  # its golden rows warm the graph up before the first caller waits for it


def _why(error: Exception) -> str:
    if isinstance(error, CtrFastError):
        return without_server_paths(error.message)
    return f"an unexpected {type(error).__name__} came up. The service's log has the details."
