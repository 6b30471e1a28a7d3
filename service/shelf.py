"""Published models in memory: found by alias, version or traffic, loaded in the background, swapped by pointer.

An alias is answered from a table that is read again when the registry has changed, for which it is asked every
`alias_refresh_s`. A version that an alias newly points at is loaded, verified and warmed up in a thread while the one
before goes on answering; that one is then held for `keep_loaded_s`, so that a rollback finds it. A version that cannot
be loaded never replaces one that can; it is tried again after a wait that doubles, or at once when an alias is put on
it. What the aliases point at when the process starts is loaded before it says that it is ready.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ctrfast.errors import CtrFastError
from service.paths import without_server_paths
from service.pointers import Alias, Key, Pointers, PointerStore
from service.problems import ModelUnavailableError, NotFoundError, VersionRemovedError
from service.registry import LATEST, Registry
from service.retries import Retries
from service.served import Served, open_version
from service.telemetry import Telemetry
from service.traffic import Traffic, TrafficTable

log = logging.getLogger("service.shelf")

_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 300.0


class Shelf:
    """Loaded versions of this process. All methods belong to one event loop.

    Args:
        registry: what is published, in any project.
        pointers: where its aliases point.
        telemetry: counts what is scored.
        refresh_s: seconds between two looks at them.
        capacity: versions held; the one that was asked for longest ago goes first.
        keep_s: seconds for which the version that an alias left is held beyond that.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        registry: Registry,
        pointers: PointerStore,
        telemetry: Telemetry,
        refresh_s: float,
        capacity: int,
        keep_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._store = pointers
        self._telemetry = telemetry
        self._refresh_s = refresh_s
        self._capacity = capacity
        self._keep_s = keep_s
        self._clock = clock
        self._changes: int | None = None  # when the pointers were read
        self._first: set[Key] | None = None  # what is loaded before the first request; None until that is known
        self._pointers = Pointers()
        self._traffic: Mapping[tuple[str, str], TrafficTable] = {}
        self._serving: dict[Alias, int] = {}
        self._left: dict[Alias, tuple[int, float]] = {}  # the version before, and until when it is held
        self._loaded: OrderedDict[Key, Served] = OrderedDict()
        self._loading: dict[Key, asyncio.Task[Served]] = {}
        self._retries: Retries[Key] = Retries(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        self.first_load = asyncio.Event()  # set once a version was loaded
        self._one_at_a_time = asyncio.Semaphore(1)  # loading takes a core from scoring: never more than one

    async def by_traffic(self, project: str, name: str, row: Mapping[str, Any] | None) -> Served:
        """The version that answers a request which names none.

        Args:
            project: of the caller.
            name: of the model.
            row: the request's first one, raw; it decides where there is a split.

        Raises:
            NotFoundError, ModelUnavailableError, VersionRemovedError: as `by_alias`.
        """
        if self._changes is None:
            await self._read_pointers()
        table = self._traffic.get((project, name))
        return await self.by_alias(project, name, LATEST if table is None else table.alias_for(row))

    def traffic(self, project: str, name: str) -> TrafficTable | None:
        """A model's traffic as it was last read; None where all of it goes to `latest`."""
        return self._traffic.get((project, name))

    def refusal(self, project: str, name: str, version: int) -> str | None:
        """Why the last load of a version failed in this process; else None. Any thread may ask."""
        return self._retries.last((project, name, version))

    def version_behind(self, project: str, name: str, alias: str) -> int | None:
        """Where an alias pointed when that was last read."""
        return self._pointers.aliases.get((project, name, alias))

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
        await self._read_pointers()
        wanted = self._pointers.aliases.get((project, name, alias))
        if wanted is None:
            await asyncio.to_thread(self._registry.of(project).get, name)
            raise NotFoundError("alias", alias, of=f"model {name!r}")
        try:
            served = await self._load((project, name, wanted))
        except VersionRemovedError:
            await self._read_pointers()
            if self.version_behind(project, name, alias) == wanted:
                raise
            return await self.by_alias(project, name, alias)  # it has left that version meanwhile
        self._switch_unless_moved((project, name, alias), wanted)
        return served

    async def by_version(self, project: str, name: str, version: int) -> Served:
        """One version. Raises NotFoundError, VersionRemovedError, ModelUnavailableError."""
        key = (project, name, version)
        served = self._loaded.get(key)
        if served is not None:
            self._loaded.move_to_end(key)
            return served
        served = await self._live(key)
        self._evict()
        return served

    async def promote(
        self,
        project: str,
        name: str,
        alias: str,
        version: int,
        *,
        caller: str = "",
        force: bool = False,
        expected: Container[int | None] | None = None,
    ) -> int:
        """Load a version, then point an alias at it: the next request is answered by it.

        Arguments and result as `Registry.set_alias`.

        Raises:
            NotFoundError, ModelUnavailableError, VersionRemovedError, GatesRefusedError, AliasMovedError: the alias
            stays where it was.
        """
        self._retries.forget((project, name, version))  # its files may have been mended: somebody wants to know now
        self._hold((project, name, alias))
        await self._live((project, name, version))
        set_alias = self._registry.of(project).set_alias
        move = await asyncio.to_thread(set_alias, name, alias, version, caller=caller, force=force, expected=expected)
        await self._read_pointers()
        self._switch_unless_moved((project, name, alias), version)
        return move

    def left_at_start(self) -> int | None:
        """How many of the versions that are loaded before the first request are not yet; None: it is not known yet.

        A version that cannot be loaded is not waited for. Any thread may ask.
        """
        return None if self._first is None else len(self._first)

    async def watch(self) -> None:
        """Follow the registry for ever; runs as a task beside the requests."""
        while True:
            await self.look()
            await asyncio.sleep(self._refresh_s)

    async def look(self) -> None:
        """Read the aliases if they have changed, and begin to load what they ask for; the first time, all of them."""
        try:
            if await asyncio.to_thread(self._store.changes) != self._changes:
                await self._read_pointers()
            if self._first is None:
                self._load_first()
            self._follow()
            self._load_ahead()
            self._evict()
        except SQLAlchemyError as error:
            log.warning("the aliases cannot be read: %s", type(error).__name__)
        except Exception:  # the end of the task that watches would leave every alias where it is, for good
            log.exception("the aliases cannot be followed")

    def _load_first(self) -> None:
        """Load what the aliases point at, `latest` before others, as much as may be held."""
        wanted = sorted(self._pointers.aliases.items(), key=lambda item: (item[0][2] != LATEST, item[0]))
        keys = list(dict.fromkeys((*alias[:2], version) for alias, version in wanted))[: self._capacity]
        self._first = {key for key in keys if key not in self._loaded}
        if self._first:
            log.info("versions that are loaded before the first request: %s", [f"{key[1]}/{key[2]}" for key in keys])
        for key in keys:
            if key in self._first:
                self._begin_load(key)

    def _follow(self) -> None:
        """Switch aliases that have moved; those whose version is not loaded yet switch once it is."""
        for alias, version in list(self._serving.items()):
            wanted = self._pointers.aliases.get(alias)
            if wanted is None:
                del self._serving[alias]
            elif wanted != version:
                key = (*alias[:2], wanted)
                if key in self._loaded:
                    self._switch(alias, wanted)
                elif self._retries.waiting(key) is None:
                    self._hold(alias)
                    self._begin_load(key)

    def _load_ahead(self) -> None:
        """Load what traffic names: the first request that it answers need not wait."""
        for (project, name), table in self._traffic.items():
            for alias in table.aliases:
                version = self.version_behind(project, name, alias)
                if version is not None and (project, name, alias) not in self._serving:
                    key = (project, name, version)
                    if key in self._loaded:
                        self._switch((project, name, alias), version)
                    elif self._retries.waiting(key) is None:
                        self._begin_load(key)

    def _switch_unless_moved(self, alias: Alias, version: int) -> None:
        """Switch to a version that took time to get; the alias may have moved on meanwhile, and must not go back."""
        if self.version_behind(*alias) == version:
            self._switch(alias, version)

    def _switch(self, alias: Alias, version: int) -> None:
        if self._serving.get(alias) != version:
            self._hold(alias)
        self._serving[alias] = version
        self._evict()

    def _hold(self, alias: Alias) -> None:
        """Keep the version that an alias is about to leave: it answers until then, and is what a rollback needs."""
        if (version := self._serving.get(alias)) is not None:
            self._left[alias] = (version, self._clock() + self._keep_s)

    async def _read_pointers(self) -> None:
        """Read them all, and let go of versions that were removed."""
        changes = await asyncio.to_thread(self._store.changes)  # before them: a change between is seen next time
        pointers = await asyncio.to_thread(self._store.read)
        removed = await asyncio.to_thread(self._store.removed_among, [*self._loaded, *self._loading])
        if self._changes is not None and changes < self._changes:
            return  # another read began later and ended earlier
        self._pointers, self._changes = pointers, changes
        self._traffic = {
            (project, name): TrafficTable(project, name, Traffic.model_validate(stored))
            for (project, name), stored in pointers.traffic.items()
        }
        for key in removed:
            self._loaded.pop(key, None)
            self._loading.pop(key, None)  # it answers those who wait for it, and is not kept

    def _evict(self) -> None:
        """Let go of what is beyond the capacity; the version that an alias has just left does not count."""
        now = self._clock()
        self._left = {alias: (version, until) for alias, (version, until) in self._left.items() if now < until}
        held = {(*alias[:2], version) for alias, (version, _) in self._left.items()}
        countable = [key for key in self._loaded if key not in held]
        for key in countable[: max(0, len(countable) - self._capacity)]:
            del self._loaded[key]

    async def _live(self, key: Key) -> Served:
        """A version that was not removed. Raises NotFoundError, VersionRemovedError, ModelUnavailableError."""
        project, name, version = key
        await asyncio.to_thread(self._registry.of(project).live_version, name, version)
        return await self._load(key)

    async def _load(self, key: Key) -> Served:
        if key in self._loaded:
            return self._loaded[key]
        return await asyncio.shield(self._begin_load(key))  # a caller that hangs up must not stop it for the others

    def _begin_load(self, key: Key) -> asyncio.Task[Served]:
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load_once(key))
            task.add_done_callback(lambda done: self._loaded_or_not(key, done))
        return task

    def _loaded_or_not(self, key: Key, task: asyncio.Task[Served]) -> None:
        if self._loading.get(key) is task:
            del self._loading[key]
        first = self._first or set()
        if not task.cancelled() and task.exception() is None:  # looked at here: every caller may have hung up
            if key in first and key in self._loaded:
                for alias, version in self._pointers.aliases.items():
                    if (*alias[:2], version) == key:
                        self._switch(alias, version)
            self._follow()
        first.discard(key)

    async def _load_once(self, key: Key) -> Served:
        _, name, version = key
        if (detail := self._retries.waiting(key)) is not None:
            raise ModelUnavailableError(detail, self._retries.wait_s(key))
        try:
            async with self._one_at_a_time:
                served = await asyncio.to_thread(open_version, self._registry, self._telemetry, key)
        except (SQLAlchemyError, VersionRemovedError):  # there is nothing to try again
            raise
        except Exception as error:
            if self._loading.get(key) is not asyncio.current_task():  # the version was removed meanwhile
                raise VersionRemovedError(name, version) from error
            detail = f"Version {version} of the model {name!r} cannot be served: {_why(error)}"
            wait_s = self._retries.failed(key, detail)
            unexpected = None if isinstance(error, CtrFastError) else error
            log.error("%s It is tried again in %.0f s.", detail, wait_s, exc_info=unexpected)
            raise ModelUnavailableError(detail, wait_s) from error
        self._retries.forget(key)
        if self._loading.get(key) is asyncio.current_task():  # else the version was removed meanwhile
            self._loaded[key] = served
        self.first_load.set()
        return served


def _why(error: Exception) -> str:
    if isinstance(error, CtrFastError):
        return without_server_paths(error.message)
    return f"an unexpected {type(error).__name__} came up. The service's log has the details."
