"""The cache: compared at each use, bounded, and left whole by processes that die."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import file_hash
from ctrfast.store.cache import Cache, Entry


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 25)


def entry_of(text: str, tmp_path: Path) -> tuple[Entry, Callable[[Path], None]]:
    """A file of 10 bytes, and what fetches it."""
    file = tmp_path / text
    file.write_text(text.ljust(10))
    return Entry(10, file_hash(file)), lambda target: target.write_text(text.ljust(10)) and None


def never(_: Path) -> None:
    pytest.fail("fetched again")


def test_a_file_is_fetched_once_and_again_if_it_was_damaged(cache: Cache, tmp_path: Path) -> None:
    entry, fetch = entry_of("one", tmp_path)
    with cache.view("v") as folder:
        cache.place(entry, fetch, folder / "a")
        cache.place(entry, never, folder / "b")
        (folder / "a").chmod(0o644)
        (folder / "a").write_text("damaged!!!")  # a link: the cache's own file
    with cache.view("v") as folder:
        cache.place(entry, fetch, folder / "a")
        assert (folder / "a").read_text() == "one       "
        cache.place(entry, never, folder / "b")


def test_what_is_not_as_the_manifest_says_is_refused_and_not_kept(cache: Cache, tmp_path: Path) -> None:
    entry, fetch = entry_of("one", tmp_path)
    with cache.view("v") as folder:
        for wrong in (Entry(9, entry.sha256), Entry(10, "0" * 64)):
            with pytest.raises(ArtifactError, match="was changed in the store"):
                cache.place(wrong, fetch, folder / "a")
        assert not list((tmp_path / "cache" / "files").iterdir())


def test_what_was_used_longest_ago_goes_first(cache: Cache, tmp_path: Path) -> None:
    made = {name: entry_of(name, tmp_path) for name in ("one", "two", "three")}
    with cache.view("v") as folder:
        for age, (name, (entry, fetch)) in enumerate(reversed(made.items())):
            cache.place(entry, fetch, folder / name)
            os.utime(tmp_path / "cache" / "files" / entry.sha256, times=(time.time(), 1e9 - age))
        cache.place(made["one"][0], never, folder / "used now")
        cache.shrink()
        assert len(list((tmp_path / "cache" / "files").iterdir())) == 3  # all of them are in use
    cache.shrink()
    kept = {path.name for path in (tmp_path / "cache" / "files").iterdir()}
    assert kept == {made[name][0].sha256 for name in ("one", "three")}


def test_what_killed_processes_left_is_removed(cache: Cache, tmp_path: Path) -> None:
    views, files = tmp_path / "cache" / "views", tmp_path / "cache" / "files"
    files.mkdir(parents=True)
    for age_s in (10, 100_000):
        partial = files / f".partial-{age_s}"
        partial.touch()
        os.utime(partial, (time.time() - age_s,) * 2)
    (views / "left").mkdir(parents=True)
    (views / "left" / "lock").touch()
    (views / "half").mkdir()
    with cache.view("v"):
        with cache.view("w") as other:
            assert len([place for place in views.iterdir() if place.is_dir()]) == 2
            assert other.is_dir()
        cache.shrink()
    assert {path.name for path in files.iterdir()} == {".partial-10"}


def test_the_environment_says_where_and_how_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CTRFAST_CACHE", str(tmp_path / "there"))
    with Cache.of_environment().view("v") as folder:
        assert folder.is_relative_to(tmp_path / "there")
    monkeypatch.delenv("CTRFAST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with Cache.of_environment().view("v") as folder:
        assert folder.is_relative_to(tmp_path / "xdg" / "ctrfast")
    monkeypatch.setenv("CTRFAST_CACHE_BYTES", "5 GB")
    with pytest.raises(ConfigError, match="must be a number of bytes") as caught:
        Cache.of_environment()
    assert caught.value.path == "CTRFAST_CACHE_BYTES"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigError, match="Set CTRFAST_CACHE to a folder that can"), Cache(tmp_path).view("v"):
        pass
