"""Every case several times, and a table: `make kill-matrix KILL_OPTIONS='--repetitions 2'`.

python -m tests.service.kill_matrix [--repetitions 5] [--database sqlite] [--only 'worker at publish'] [--quick]
    [--artifacts s3]

With `--quick` the program in the training process is `quick_runner`; all else is as without. With `--artifacts s3`
models and runs lie in an object store, a server of this program's own.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ctrfast.data.shards import Dataset
from ctrfast.export import export_bundle
from ctrfast.train import train
from tests import tiny_clicks
from tests.service.kill_matrix.cases import TARGETS, Bench, Case, Outcome
from tests.service.kill_matrix.fleet import Fleet, quick_fleet
from tests.service.kill_matrix.moments import MOMENTS
from tests.service.kill_matrix.postgres import Postgres
from tests.store.conftest import BUCKET, environment_of, running_server

SPEC: dict[str, Any] = {
    "dataset": "tiny",
    "model": {"name": "deepfm", "embedding_dim": 4, "hidden": [48, 48]},
    "batch_size": 250,
    "epochs": 30,
    "log_every_steps": 5,
    "checkpoint_every_steps": 10,
    "scaling": {"base_batch_size": 250},
    "optimizer": {"lr_dense": 0.001, "lr_embed": 0.001, "l2": 1e-4},
    "seed": 3,
}
DATABASES = ("sqlite", "postgresql")
_LOG_TAIL = 20_000  # characters


def main() -> int:
    """Run what is asked for; the exit code is 1 where a case failed."""
    parser = argparse.ArgumentParser(prog="kill-matrix")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--only", default="", help="part of a case's name, such as `worker at publish`")
    parser.add_argument("--artifacts", choices=("home", "s3"), default="home")
    parser.add_argument("--quick", action="store_true", help="a stand-in for the training")
    options = parser.parse_args()
    failed = 0
    _say("| database | case | runs | passed | median seconds until the job went on |")
    _say("| --- | --- | --- | --- | --- |")
    for database in DATABASES if options.database is None else (options.database,):
        failed += _run(database, options)
    return 1 if failed else 0


def _run(database: str, options: argparse.Namespace) -> int:
    targets = [target for target in TARGETS if target != "postgres" or database == "postgresql"]
    cases = [Case(target, moment) for target in targets for moment in MOMENTS]
    cases = [case for case in cases if options.only in str(case)]
    failed = 0
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        home = Path(folder) / "home"
        (home / "data").mkdir(parents=True)
        dataset = tiny_clicks.make_dataset(home / "data", tiny_clicks.learnable(4000))
        postgres = Postgres() if database == "postgresql" else None
        store: dict[str, str] = {}
        if options.artifacts == "s3":
            store = environment_of(stack.enter_context(running_server()), Path(folder) / "cache")
            store["CTRFAST_ARTIFACTS"] = f"s3://{BUCKET}/{database}"
            os.environ.update(store)  # the fleet looks into the store too
            logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else each request has a line
        if options.quick:
            fleet = quick_fleet(home, postgres, _bundle(dataset, Path(folder)), store)
        else:
            fleet = Fleet(home, postgres, environment=store)
        try:
            fleet.client.register("tiny", "dataset")
            bench = Bench(fleet, SPEC, None if options.quick else tiny_clicks.same_run)
            for case in cases:
                outcomes = [_outcome(bench, case) for _ in range(options.repetitions)]
                failed += _tell(database, case, outcomes)
            if failed:
                sys.stderr.write((home / "processes.log").read_text()[-_LOG_TAIL:])
        finally:
            fleet.close()
            if postgres is not None:
                postgres.close()
    return failed


def _bundle(dataset: Dataset, folder: Path) -> Path:
    train(dataset, tiny_clicks.settings(epochs=1), folder / "run")
    export_bundle(folder / "run", folder / "bundle")
    return folder / "bundle"


def _outcome(bench: Bench, case: Case) -> Outcome | None:
    try:
        outcome = bench.run(case)
    except Exception:  # the other cases go on
        traceback.print_exc()
        return None
    for line in outcome.wrong:
        sys.stderr.write(f"{case}: {line}\n")
    return outcome


def _tell(database: str, case: Case, outcomes: list[Outcome | None]) -> int:
    ended = [outcome for outcome in outcomes if outcome is not None]
    passed = sum(not outcome.wrong for outcome in ended)
    median = f"{statistics.median(outcome.seconds for outcome in ended):.1f}" if ended else "-"
    _say(f"| {database} | {case} | {len(outcomes)} | {passed} | {median} |")
    return len(outcomes) - passed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
