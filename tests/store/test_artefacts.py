"""Artefacts in a store: whole or absent, one publisher wins, and every byte is compared."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ctrfast.errors import ArtifactError, ConfigError, StoreUnavailableError
from ctrfast.store import artefacts
from ctrfast.store.address import Address
from ctrfast.store.artefacts import (
    UNFINISHED,
    copy_to,
    find,
    opened,
    publish,
    publish_unfinished,
    refuse_taken,
    remove,
)
from ctrfast.store.objects import Objects, connect
from tests.store.conftest import make_folder


@pytest.fixture
def address(store: str) -> Address:
    return Address.parse(f"{store}/model")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(address: Address) -> set[str]:
    return set(connect().sizes(address))


def test_what_is_published_is_opened_as_it_was(address: Address, folder: Path, tmp_path: Path) -> None:
    assert find(address) is None
    publish(folder, address)
    with opened(address) as view:
        assert view.name == "model"
        assert contents(view) == contents(folder)
    assert not view.exists()
    stored = find(address)
    assert stored is not None
    assert stored.kind == "bundle"
    copy_to(stored, tmp_path / "kept")
    assert contents(tmp_path / "kept") == contents(folder)
    (tmp_path / "kept" / "b.txt").write_text("changed")  # a copy may be written to, and does not reach the cache
    with opened(address, lambda name: name == "b.txt", name="7") as part:
        assert contents(part) == {"b.txt": b"b"}
        assert part.name == "7"


def test_the_manifest_is_written_last(address: Address, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = {name: getattr(Objects, name) for name in ("upload", "write")}
    monkeypatch.setattr(
        Objects, "upload", lambda self, file, to: (written.append(to.key), real["upload"](self, file, to))
    )
    monkeypatch.setattr(
        Objects,
        "write",
        lambda self, to, data, new: (written.append(to.key), real["write"](self, to, data, new=new))[1],
    )
    publish(folder, address)
    assert len(written) == 4
    assert written[-1].endswith("/manifest.json")


def test_a_publication_that_was_killed_is_no_artefact_and_is_cleaned_up(
    address: Address, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "write", lambda *_, **__: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            publish(make_folder(tmp_path / "other", "other"), address)
    assert len(names(address)) == 3
    assert find(address) is None
    with pytest.raises(ArtifactError, match="There is no artefact at s3://"), opened(address):
        pass
    publish(folder, address)
    assert len(names(address)) == 4  # three files and the manifest: what was left is gone
    with opened(address) as view:
        assert contents(view) == contents(folder)


def test_of_two_publishers_of_one_name_one_wins(address: Address, tmp_path: Path) -> None:
    folders = [make_folder(tmp_path / str(number), f"text {number}") for number in range(2)]
    refused: list[ConfigError] = []
    barrier = threading.Barrier(2)

    def publish_at_once(folder: Path) -> None:
        barrier.wait()
        try:
            publish(folder, address)
        except ConfigError as error:
            refused.append(error)

    threads = [threading.Thread(target=publish_at_once, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = refused
    assert error.message == f"{address} exists already. Choose another address, or remove it."
    with opened(address) as view:
        assert contents(view) in [contents(folder) for folder in folders]


def test_the_same_content_is_published_once(address: Address, folder: Path) -> None:
    publish(folder, address)
    publish(folder, address)
    with pytest.raises(ConfigError, match="exists already"):
        refuse_taken(address)
    remove(address)
    assert names(address) == set()


def test_a_store_without_conditional_writes_is_asked_first(
    address: Address, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Objects, "_write_new", lambda *_: "NotImplemented")
    publish(folder, address)
    with pytest.raises(ConfigError, match="exists already"):
        publish(make_folder(tmp_path / "other", "other"), address)


def test_a_write_that_meets_another_is_tried_again(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctrfast.store.objects.time.sleep", lambda _: None)
    monkeypatch.setattr(Objects, "_write_new", lambda *_: "ConditionalRequestConflict")
    with pytest.raises(StoreUnavailableError, match="is being written by others"):
        connect().write(address, b"", new=True)


def test_a_file_that_was_changed_in_the_store_is_refused(address: Address, folder: Path) -> None:
    publish(folder, address)
    (name,) = [name for name, size in connect().sizes(address).items() if size == 1]
    connect().write(address / name, b"x", new=False)
    with pytest.raises(ArtifactError, match=r"b\.txt was changed in the store"), opened(address):
        pass
    connect().remove(address / name)
    with pytest.raises(ArtifactError, match=r"is incomplete: the file b\.txt is missing"), opened(address):
        pass


@pytest.mark.parametrize(
    "change, message",
    [
        ((b'"bundle"', b'"dataset"'), "was edited"),
        ((b'"format": 1', b'"format": 2'), r"must have format 1\. Got 2"),
        ((b'"files"', b'"file"'), "is not one that ctrfast publishes"),
        ((b"{", b"["), "is not one that ctrfast publishes"),
    ],
)
def test_a_manifest_that_was_edited_is_refused(
    address: Address, folder: Path, change: tuple[bytes, bytes], message: str
) -> None:
    publish(folder, address)
    manifest = address / "manifest.json"
    connect().write(manifest, (connect().read(manifest) or b"").replace(*change), new=False)
    with pytest.raises(ArtifactError, match=message):
        find(address)


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b", "a//b", ""])
def test_a_name_outside_the_folder_is_refused(address: Address, name: str) -> None:
    content = {"kind": "stored", "format": 1, "artefact": "bundle", "files": {name: {"bytes": 1, "sha256": "0" * 64}}}
    sealed = {**content, "seal": artefacts.seal(content)}
    connect().write(address / "manifest.json", artefacts._to_json(sealed), new=False)
    with pytest.raises(ArtifactError, match="was edited"):
        find(address)


def test_a_folder_that_says_not_what_it_is_is_refused(address: Address, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must be a dataset, run or bundle"):
        publish(tmp_path, address)


def test_an_unfinished_run_is_replaced_until_it_is_finished(address: Address, tmp_path: Path) -> None:
    for number in range(2):
        publish_unfinished(make_folder(tmp_path / str(number), f"text {number}"), address)
    assert find(address) is None
    assert len(names(address)) == 4  # the first one's file and manifest are gone
    stored = find(address, UNFINISHED)
    assert stored is not None
    copy_to(stored, tmp_path / "taken up")
    assert contents(tmp_path / "taken up") == contents(tmp_path / "1")
    publish(tmp_path / "1", address)
    assert find(address, UNFINISHED) is None
    with pytest.raises(ConfigError, match="exists already"):
        publish_unfinished(tmp_path / "0", address)
