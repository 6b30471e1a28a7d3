"""One point from the inside: `python -m ctrfast.sweep.point`, started by `ctrfast.sweep.process`.

It reads what to do from standard input, one JSON object on a line, trains, and writes messages to standard output, one
JSON object on a line each; the log goes to standard error. It ends when standard input does, as its sweep then has.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctrfast.allocator import keep_freed_memory
from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, Cancelled, CtrFastError
from ctrfast.machine_memory import is_out_of_memory
from ctrfast.sweep.pruning import Pruner

if TYPE_CHECKING:
    from ctrfast.loop.progress import Progress

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def main() -> int:
    """Train one point; the exit code is 0 whenever the outcome was told."""
    channel = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)  # whatever a library prints is no message
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with os.fdopen(_STDIN, "rb", buffering=0, closefd=False) as requests:
        request = json.loads(requests.readline())
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()

    def tell(message: Mapping[str, Any]) -> None:
        os.write(channel, json.dumps(message).encode() + b"\n")

    pruner: Pruner | None = None

    def on_progress(progress: Progress) -> None:
        tell({"type": "progress", "fraction": progress.fraction})
        if pruner is not None:
            pruner.see(progress)

    def should_stop() -> bool:
        return stop.is_set() or (pruner is not None and pruner.is_hopeless)

    try:
        dataset = Dataset.open(Path(request["dataset"]), verify=False)  # the sweep has compared its files
        if dataset.hash != request["dataset_hash"]:
            raise ArtifactError(f"The dataset {dataset.path} was changed since the sweep began. Put the old one back.")
        keep_freed_memory()  # this process does nothing but this run
        from ctrfast.train import train

        config = TrainConfig.model_validate(request["config"])
        bars = {int(epoch): float(auc) for epoch, auc in request["bars"].items()}
        pruner = Pruner(bars, dataset.rows("train") // config.batch_size, config.epochs)
        train(dataset, config, Path(request["run"]), resume=True, on_progress=on_progress, should_stop=should_stop)
        last_word: dict[str, Any] = {"type": "done"}
    except Cancelled:
        last_word = {"type": "stopped"}
        if pruner is not None and pruner.message is not None:
            last_word = {"type": "pruned", "message": pruner.message, "metrics": {"valid_auc": pruner.auc}}
    except Exception as error:
        traceback.print_exc()
        last_word = {"type": "failed", **_reason(error)}
    tell(last_word)
    return 0


def _reason(error: Exception) -> dict[str, str]:
    if isinstance(error, CtrFastError):
        return {"reason": error.code, "message": error.message}
    if is_out_of_memory(error):
        message = "The run needs more memory than there is. Choose a smaller batch or table."
        return {"reason": "out_of_memory", "message": message}
    return {"reason": "internal", "message": f"An unexpected {type(error).__name__}. The point's log has the details."}


def _end_with_the_sweep() -> None:
    while os.read(_STDIN, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)  # at once, also from the middle of a step: the last checkpoint counts


if __name__ == "__main__":
    sys.exit(main())
