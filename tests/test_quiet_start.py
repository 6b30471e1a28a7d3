"""TensorFlow's lines as it starts are kept back, and come out where it cannot start."""

import os
import subprocess
import sys

PROGRAM = """
import os, sys
from ctrfast.quiet_start import load_tensorflow
load_tensorflow()
print(os.environ["TF_CPP_MIN_LOG_LEVEL"], sys.modules["tensorflow"].value)
os.write(2, b"later\\n")
"""


def run(folder, tensorflow, **environment):
    (folder / "tensorflow.py").write_text(f"import os\nos.write(2, b'chatter\\n')\n{tensorflow}\n")
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_only_what_comes_later_is_written(tmp_path):
    done = run(tmp_path, "value = 1")
    assert (done.stdout, done.stderr) == ("3 1\n", "later\n")
    assert run(tmp_path, "value = 1", TF_CPP_MIN_LOG_LEVEL="0").stdout == "0 1\n"


def test_an_import_that_fails_says_all(tmp_path):
    done = run(tmp_path, "raise ImportError('no such processor')")
    assert done.returncode == 1
    assert done.stderr.startswith("chatter\n")
    assert "no such processor" in done.stderr
