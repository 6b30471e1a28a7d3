"""Only files under the allowed folders, however they are written; no message shows a path of the server."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.paths import allowed_path, without_server_paths
from service.problems import PathNotAllowedError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = (tmp_path / "root").resolve()
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "file").touch()
    (tmp_path / "secret").touch()
    (tmp_path / "root-twin").mkdir()
    (root / "link-out").symlink_to(tmp_path / "secret")
    (root / "link-in").symlink_to(root / "inner")
    (root / "loop").symlink_to(root / "loop")
    return root


@pytest.mark.parametrize("name", ["inner/file", "link-in/file", "inner/../inner/file", "."])
def test_inside(root: Path, name: str) -> None:
    assert allowed_path(name, [root]).is_relative_to(root)
    assert allowed_path(str(root / name), [root]).is_relative_to(root)


def test_a_relative_path_is_looked_up_in_each_root(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "here").mkdir(parents=True)
    assert allowed_path("here", [root, other.resolve()]) == other.resolve() / "here"
    assert allowed_path("nowhere", [root, other.resolve()]) == root / "nowhere"


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "inner/../../secret",
        "link-out",
        "../root-twin",
        "/etc/passwd",
        "",
        "a\x00b",
        "inner\\..\\..\\secret",
        "x" * 5000,
        "~/x/../../../../etc/passwd",
        "/proc/self/environ",
        "loop/../../secret",
    ],
)
def test_outside(root: Path, name: str) -> None:
    with pytest.raises(PathNotAllowedError) as caught:
        allowed_path(name, [root], "spec.raw.0")
    assert str(root) not in caught.value.detail
    assert caught.value.path == "spec.raw.0"


@hypothesis_settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "inner", "file", "link-out", "link-in", "", "%2e%2e", "secret"]), max_size=8
    )
)
def test_no_way_leads_out(root: Path, parts: list[str]) -> None:
    for name in ("/".join(parts), f"{root}/" + "/".join(parts)):
        try:
            found = allowed_path(name, [root])
        except PathNotAllowedError:
            continue
        assert found.resolve().is_relative_to(root)


def test_messages_lose_the_servers_paths() -> None:
    assert without_server_paths("There is no run at /srv/var/jobs/1/run.") == "There is no run at run."
    assert without_server_paths("A file '/srv/a b' and (/x/y/z)") == "A file 'a b' and (z)"
    given_names = {"/srv/data/in.tsv": "in.tsv", "/srv/data": "/link"}
    assert without_server_paths("/srv/data/in.tsv, line 3; /srv/data", given_names) == "in.tsv, line 3; /link"
    kept = "40 rows/s; see https://host/a/b; 1/2; a/b/c"
    assert without_server_paths(kept) == kept


@pytest.mark.parametrize(
    "text, shown",
    [
        ("There is no artefact at s3://b1-x/m/abc: it has none.", "There is no artefact at abc: it has none."),
        ("at s3://b1-x/m.json (AccessDenied). Check.", "at m.json (AccessDenied). Check."),
        ("s3://b1-x/a/b", "b"),
    ],
)
def test_messages_lose_addresses_in_the_store(text: str, shown: str) -> None:
    assert without_server_paths(text) == shown
    assert without_server_paths("at s3://b1-x/m/abc: x", {"s3://b1-x/m/abc": "s3://b1-x/m/abc"}).startswith("at s3://")
