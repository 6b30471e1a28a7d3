"""Runs side by side: what they were set to, what they came to, and whether the differences are real.

    told = compare_runs([ComparedRun.of(Run.open(path), str(path)) for path in paths])
    for line in told.verdicts: print(line)

| runs                                              | AUC                         | log loss and the rest         |
| two or more settings, each with two or more seeds | Welch's t over seeds        | Welch's t over seeds          |
| the same test rows                                | DeLong, paired              | bootstrap of rows, paired     |
| test rows that are not known to be the same       | DeLong, independent samples | bootstraps of their own       |
| a run without kept scores                         | none                        | none                          |

Rows are known to be the same where the datasets are the same, or where all runs were scored on one dataset. A test of
rows tells whether these two *models* differ on impressions like these; whether their *settings* do, only several seeds
of each can tell. All is compared with the first run, or its settings. Intervals are of 95 %; a difference counts as
real where p < 0.05 / the number of comparisons (Bonferroni).

answer     what a comparison tells, as JSON has it
runs       a run to compare
choice     which test is made
verdicts   sentences
"""

from ctrfast.comparison.answer import Comparison
from ctrfast.comparison.choice import MOST_RUNS, check_names, compare_runs
from ctrfast.comparison.runs import ComparedRun

__all__ = ["MOST_RUNS", "ComparedRun", "Comparison", "check_names", "compare_runs"]
