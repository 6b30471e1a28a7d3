import sys
from pathlib import Path

import pyarrow as pa

from bench import peer_environment
from bench.peer_environment import peer_versions


def test_versions_of_what_is_installed(monkeypatch):
    monkeypatch.setattr(peer_environment, "PEERS", Path(sys.executable))
    assert peer_versions(["pyarrow", "no-such-package"]) == {"pyarrow": pa.__version__}


def test_no_environment_has_no_packages(monkeypatch, tmp_path):
    monkeypatch.setattr(peer_environment, "PEERS", tmp_path / "python")
    assert peer_versions(["pyarrow"]) == {}
