"""One replica and two, trained by `tests.replicas_program` and compared weight by weight."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ctrfast.run import Run
from ctrfast.run_network import open_network


def same_on_two_replicas(data: Path, out: Path, settings: dict | None = None, *, atol: float) -> tuple[Run, Run, str]:
    """The two runs, once their weights are found alike, and what the program printed."""
    given = [] if settings is None else [json.dumps(settings)]
    program = [sys.executable, "-m", "tests.replicas_program", data, out, *given]
    result = subprocess.run(program, capture_output=True, text=True, timeout=800)
    assert result.returncode == 0, result.stderr
    one, two = (Run.open(out / name) for name in ("one", "two"))
    weights = [open_network(run).weights() for run in (one, two)]
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, rtol=0, atol=atol, err_msg=name)
    return one, two, result.stdout
