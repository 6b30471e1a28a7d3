"""The program that holds preparation to its memory limit, on a small input."""

import re
import sys

import pytest

from bench import bounded


def test_it_prints_input_limit_and_peak(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bounded", "--times", "0.05", "--data", str(tmp_path / "data")])
    bounded.main()
    found = re.search(
        r"input (\d+) MiB, 0\.1 times the 256 MiB .* limit 768 MiB, peak (\d+) MiB", capsys.readouterr().out
    )
    assert int(found[1]) >= 12
    assert 100 < int(found[2]) < 768
    assert list((tmp_path / "data").iterdir()) == []


def test_a_peak_above_the_limit_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bounded", "--times", "0.001", "--data", str(tmp_path)])
    monkeypatch.setattr(bounded, "peak_of", lambda folder, raw: 2**40)
    with pytest.raises(SystemExit, match="above the limit"):
        bounded.main()
