"""Stands in for `ctrfast.sweep.point`: leaves a run with figures made of its seed, or ends as the seed says."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

NAN, KILLED, SILENT, SLOW, FULL = 100, 101, 102, 103, 104


def curve(config) -> list[float]:
    """Validation AUC by epoch: best at lr_embed 0.01 and with a high seed."""
    rate = config["optimizer"]["lr_embed"] or 0.01
    last = 0.6 + config["seed"] / 100 - 0.05 * abs(math.log10(rate / 0.01))
    return [last - 0.01, last]


def main() -> None:
    request = json.loads(sys.stdin.readline())
    seed = request["config"]["seed"]

    def tell(**message: object) -> None:
        os.write(1, json.dumps(message).encode() + b"\n")

    if seed == SLOW:  # before it is told to stop
        signal.signal(signal.SIGTERM, lambda *_: (tell(type="stopped"), os._exit(0)))
    sys.stderr.write(f"seed {seed}\n")
    tell(type="progress", fraction=0.5)
    if seed == NAN:
        tell(type="failed", reason="nan_loss", message="The loss is no number.")
    elif seed == FULL:
        tell(type="failed", reason="storage", message="The disk is full.")
    elif seed == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    elif request["bars"] and curve(request["config"])[0] < request["bars"]["1"]:
        figures = {"valid_auc": curve(request["config"])[0]}
        tell(type="pruned", message=f"below the median {request['bars']['1']:.4f}", metrics=figures)
    elif seed == SILENT:
        sys.exit(3)
    elif seed == SLOW:
        time.sleep(600)
    else:
        from ctrfast.config import TrainConfig
        from ctrfast.data.shards import Dataset
        from ctrfast.optim.scaling import make_plan
        from ctrfast.run import CHECKPOINTS, Ending, finish_run, start_run

        config, out = TrainConfig.model_validate(request["config"]), Path(request["run"])
        dataset = Dataset.open(Path(request["dataset"]), verify=False)
        start_run(out, config, make_plan(config, "tiny"), dataset)
        steps = dataset.rows("train") // config.batch_size
        records = [
            {"kind": "evaluation", "split": "valid", "step": steps * epoch, "auc": auc}
            for epoch, auc in enumerate(curve(request["config"]), start=1)
        ]
        (out / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        figures = {"test_auc": 0.1 + records[-1]["auc"], "valid_auc": records[-1]["auc"], "rows_per_s": 1000.0}
        finish_run(out, dataset, config, Ending(figures, out / CHECKPOINTS / "step-1", 1, "epochs", 30.0))
        tell(type="done")


if __name__ == "__main__":
    main()
