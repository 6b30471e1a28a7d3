"""A published folder is put in place for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.folders import put_in_place


def test_what_was_left_there_is_replaced_and_every_new_name_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("service.folders.sync", synced.append)
    for content in ("left over", "published"):
        made = tmp_path / "job" / "bundle"
        made.mkdir(parents=True)
        (made / "a").write_text(content)
        put_in_place(made, tmp_path / "models" / "m" / "1")
        assert not made.exists()
    assert (tmp_path / "models" / "m" / "1" / "a").read_text() == "published"
    first = [tmp_path / "models" / "m", tmp_path / "models", tmp_path]
    assert synced == [*first, tmp_path / "models" / "m"]


def test_a_folder_that_another_has_moved_costs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "models" / "m" / "1"
    target.mkdir(parents=True)
    (target / "a").write_text("published")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "job" / "bundle", target)
    assert (target / "a").read_text() == "published"
