"""Many runs: a grid of rules x batch sizes x seeds x any other setting, or a search; each a process of its own.

    config = parse_sweep({"base": {"epochs": 2}, "grid": {"scaling.rule": ["none", "cowclip"], "seed": [1, 2, 3]}})
    result = run_sweep(Dataset.open(Path("data/criteo")), config, Path("sweeps/first"))
    result.groups[0].figures["test_auc"]            # mean and sample standard deviation over the seeds

grid       the settings, and the points that they make
space      lists, ranges and the kinds of search
random_search, optuna_search   settings that are drawn, or asked for
rounds     the points in the order in which they become known
pruning    hopeless runs are ended early
places     a run is known by its config and dataset: an identical one is never repeated
groups     figures over seeds, the best outcome
table      the runs as one parquet table
folder     what lies in a sweep's folder; one sweep at a time, always with the same settings
runner     the points one after the other; killed and run again, it goes on where it stood
process    one point from the outside: its process, what it says, how it ended
point      one point from the inside
"""

from ctrfast.sweep.grid import Point, SweepConfig, parse_sweep, sweep_points
from ctrfast.sweep.groups import Group, Outcome, Spread, best_outcome, group_over_seeds
from ctrfast.sweep.runner import SweepProgress, SweepResult, run_sweep
from ctrfast.sweep.space import MOST_POINTS

__all__ = [
    "MOST_POINTS",
    "Group",
    "Outcome",
    "Point",
    "Spread",
    "SweepConfig",
    "SweepProgress",
    "SweepResult",
    "best_outcome",
    "group_over_seeds",
    "parse_sweep",
    "run_sweep",
    "sweep_points",
]
