"""The figures of the GPU benchmark, from made-up measurements."""

import pytest

from bench import gpu
from bench.gpu import CRITEO_ROWS, Measured, report


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(gpu, "_gpu", lambda: "some GPU")
    small = Measured(1024, rows_per_s={"ctrfast": [1e6, 3e6, 2e6]}, peak_device_bytes={"ctrfast": 3 * 2**29})
    large = Measured(
        8192, rows_per_s={gpu.PUBLISHED: [5e5]}, peak_device_bytes={gpu.PUBLISHED: None}, failures=["x ended"]
    )
    made = report([small, large], rounds=3, versions={})
    assert "GPU: some GPU." in made.notes
    assert made.notes[-1] == "FAILED: x ended"
    assert made.figures["8192"]["rows_per_s"] == {gpu.PUBLISHED: [5e5]}
    return made.tables


def test_systems_that_were_not_measured_have_no_figure(tables):
    speed, _, memory = ([row[-2:] for row in table.rows] for table in tables)
    assert speed == [["2,000,000 (1,000,000-3,000,000)", "-"], ["-", "500,000 (500,000-500,000)"]]
    assert memory == [["1.50", "-"], ["-", "-"]]


def test_an_epoch_takes_its_rows_over_the_median_speed(tables):
    assert tables[1].rows[0] == ["ctrfast", f"{CRITEO_ROWS / 2e6:,.1f}", "-"]


def test_without_a_gpu_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SystemExit, match="needs an NVIDIA GPU"):
        gpu.main()
