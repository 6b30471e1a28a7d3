"""Limits of control groups, in a tree that looks like Linux's."""

from types import SimpleNamespace

import psutil
import pytest

from ctrfast.machine_memory import available_memory


def make(root, cgroup):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)


def write(root, group, names, limit, used, cached):
    folder = root / "sys/fs/cgroup" / group
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (limit, used, f"anon 5\n{names[3]} {cached}"), strict=False):
        (folder / name).write_text(f"{text}\n")


@pytest.fixture(autouse=True)
def held(monkeypatch):
    """The process holds 50 bytes, the machine has 12,345 left."""
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=50))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=12345))


V2 = ("memory.max", "memory.current", "memory.stat", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file")


@pytest.mark.parametrize(
    ("line", "top", "names"),
    [("0::/a/b", "", V2), ("7:cpu,memory:/a/b", "memory/", V1)],
    ids=["version 2", "version 1"],
)
def test_the_lowest_limit_of_all_levels_counts(tmp_path, line, top, names):
    make(tmp_path, f"12:cpuset:/other\n{line}\n")
    write(tmp_path, "cpuset/other", names, 1, 0, 0)
    write(tmp_path, f"{top}a/b", names, 9000, 1000, 0)
    assert available_memory(tmp_path) == 8050
    write(tmp_path, f"{top}a", names, 5000, 2000, 500)
    assert available_memory(tmp_path) == 3550  # the cache can be given back
    write(tmp_path, f"{top}", names, 700, 800, 0)
    assert available_memory(tmp_path) == 50


def test_a_container_whose_group_is_not_mounted_under_its_name(tmp_path):
    make(tmp_path, "0::/docker/abc\n")
    write(tmp_path, "", V2, 4000, 1000, 0)
    assert available_memory(tmp_path) == 3050


@pytest.mark.parametrize("cgroup", ["0::/a\n", "7:cpu:/a\n", None])
def test_without_a_limit_the_machine_counts(tmp_path, cgroup):
    if cgroup is not None:
        make(tmp_path, cgroup)
        write(tmp_path, "a", V2, "max", 1000, 0)
        write(tmp_path, "memory/a", V1, 5, 0, 0)
    assert available_memory(tmp_path) == 12395
