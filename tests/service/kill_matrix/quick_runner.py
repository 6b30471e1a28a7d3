"""The runner with a training of a second in TensorFlow's place: `quick_runner FD`; it publishes CTRFAST_TEST_BUNDLE.

All but the arithmetic is real: assignment, lease, lock on the folder, messages, checkpoints that are whole or absent.
Each step changes a number; a run that goes on from a checkpoint ends with another one unless it lost nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import service.work
from ctrfast.folders import new_folder, remove_partials, write_manifest
from ctrfast.run import CHECKPOINTS, RECEIPT
from service.assignments import BUNDLE, RUN, Assignment
from service.runner import main
from service.states import Kind
from service.stopping import Stop
from service.work import Product, Tell

STEPS = 32
_STEP_S, _WRITE_S = 0.015, 0.02
_EVERY = 8  # steps between two checkpoints


def train(assignment: Assignment, tell: Tell, stop: Stop) -> Product:
    run = assignment.folder / RUN
    checkpoints = run / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    remove_partials(checkpoints)
    state: dict[str, Any] = {"step": 0, "value": 0.5}
    for path in sorted(checkpoints.iterdir()):
        state = json.loads((path / "state.json").read_text())
    with (run / "metrics.jsonl").open("a") as log:
        while state["step"] < STEPS:
            stop.raise_if_requested()
            time.sleep(_STEP_S)
            state = {"step": state["step"] + 1, "value": 3.9 * state["value"] * (1 - state["value"])}
            log.write(json.dumps(state) + "\n")
            log.flush()
            tell({"type": "progress", "progress": state["step"] / STEPS, "eta_s": 1.0, "facts": {}})
            if state["step"] % _EVERY == 0:
                save(checkpoints / f"step-{state['step']:08d}", state)
    (run / RECEIPT).write_text("{}")
    shutil.rmtree(assignment.folder / BUNDLE, ignore_errors=True)
    with new_folder(assignment.folder / BUNDLE) as partial:
        shutil.copytree(os.environ["CTRFAST_TEST_BUNDLE"], partial, dirs_exist_ok=True)
    time.sleep(_WRITE_S)
    return Product({"value": state["value"]})


def save(out: Path, state: dict[str, Any]) -> None:
    with new_folder(out) as partial:
        (partial / "state.json").write_text(json.dumps(state))
        time.sleep(_WRITE_S)
        write_manifest(partial, {"kind": "checkpoint"})


if __name__ == "__main__":
    service.work._WORK = {Kind.TRAIN: train}
    sys.exit(main(sys.argv))
