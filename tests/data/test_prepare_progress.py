import pytest

from ctrfast.console import progress_note
from ctrfast.data.prepare import prepare
from ctrfast.data.prepare_progress import Pace, PrepareProgress, Speed


def test_speed_is_of_the_stage_and_the_time_left_of_all():
    now = [100.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.after(PrepareProgress.of("read", 1000, None, 0.2)) == Speed(None, None)  # as an earlier process left it
    now[0] = 110.0
    assert pace.after(PrepareProgress.of("read", 3000, None, 0.4)) == Speed(200.0, pytest.approx(80.0))
    now[0] = 120.0
    speed = pace.after(PrepareProgress.of("fit", 100, 400, 0.25))
    assert (speed.rows_per_s, speed.eta_s) == (None, pytest.approx(20 * 0.45 / 0.45))
    now[0] = 125.0
    assert pace.after(PrepareProgress.of("fit", 200, 400, 0.5)).rows_per_s == 20.0
    assert pace.after(PrepareProgress.of("write", 400, 400, 1.0)).eta_s == 0.0


def test_the_note_of_the_bar():
    progress = PrepareProgress.of("read", 1_200_000, None, 0.5)
    assert progress_note(progress, Speed(310_000.4, 72.2)) == " 25%  1,200,000 rows  310,000 rows/s  0:01:12 left"
    assert progress_note(progress, Speed(None, None)) == " 25%  1,200,000 rows"


def test_the_share_goes_by_bytes_over_all_inputs(tmp_path, tiny):
    sizes = []
    for name, rows in (("a.tsv", 30), ("b.tsv", 10)):
        (tmp_path / name).write_bytes(b"1\t1\tx\ty\n0\t2\tx\ty\n" * rows)
        sizes.append((tmp_path / name).stat().st_size)
    seen = []
    prepare([tmp_path / "a.tsv", tmp_path / "b.tsv"], tiny, tmp_path / "out", on_progress=seen.append)
    read = [step.share for step in seen if step.stage == "read"]
    assert read == pytest.approx([0.5 * sizes[0] / sum(sizes), 0.5])
