import sys
import textwrap

import pytest

from bench.turns import WARM_UP_STEPS, System, SystemFailedError, in_turns


def program(tmp_path, body: str) -> list[str]:
    """A program that counts its steps in a file, with `body` as the step."""
    file = tmp_path / "program.py"
    file.write_text(
        "import pathlib, sys\nfrom bench.turns import answering\n"
        f"counted = pathlib.Path({str(tmp_path / 'steps')!r})\n"
        "steps = 0\n"
        "def step():\n    global steps\n    steps += 1\n    counted.write_text(str(steps))\n"
        f"{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        "with answering() as turns:\n    print('a library talks')\n    turns.serve(step, {'fact': 7})\n"
    )
    return [sys.executable, str(file)]


@pytest.fixture
def here(pytestconfig, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))


def test_takes_the_steps_asked_for_and_keeps_libraries_out_of_the_answers(tmp_path, here):
    with System("counter", program(tmp_path, "print('noise')")) as system:
        assert system.facts == {"fact": 7}
        assert (tmp_path / "steps").read_text() == str(WARM_UP_STEPS)
        turn = system.take(steps=5)
        assert (tmp_path / "steps").read_text() == str(WARM_UP_STEPS + 5)
    assert turn.seconds > 0
    assert system.peak_rss_bytes > 2**20


def test_waits_for_steps_handed_over_and_tells_the_devices_memory(tmp_path, here):
    command = program(tmp_path, "pass")
    source = tmp_path / "program.py"
    served = "turns.serve(step, finish=lambda: counted.write_text(f'{steps} done'), peak_device_bytes=lambda: 77)"
    source.write_text(source.read_text().replace("turns.serve(step, {'fact': 7})", served))
    with System("counter", command) as system:
        assert (tmp_path / "steps").read_text() == f"{WARM_UP_STEPS} done"
        system.take(steps=2)
        assert (tmp_path / "steps").read_text() == f"{WARM_UP_STEPS + 2} done"
        assert system.peak_device_bytes == 77


def test_passes_its_environment_on(tmp_path, here):
    body = "import os\ncounted.write_text(os.environ['COLOUR'])"
    with System("coloured", program(tmp_path, body), {"COLOUR": "blue"}):
        assert (tmp_path / "steps").read_text() == "blue"


def test_a_system_that_dies_is_named_and_left_out(tmp_path, here):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    dies = program(tmp_path / "a", f"if steps > {WARM_UP_STEPS + 1}: sys.exit('out of luck')")
    with System("mortal", dies) as mortal, System("steady", program(tmp_path / "b", "pass")) as steady:
        turns, failures = in_turns([mortal, steady], rounds=3, steps=1)
    assert list(turns) == ["steady"]
    assert len(turns["steady"]) == 3
    assert len(failures) == 1
    assert failures[0].startswith("mortal ended (exit code 1)")
    assert failures[0].endswith("out of luck")


def test_a_system_that_cannot_start_is_named(tmp_path, here):
    with pytest.raises(SystemFailedError, match=r"never ended .*no such thing"):
        System("never", program(tmp_path, "raise RuntimeError('no such thing')"))
