"""Sentences that say whether a difference is real, and what the tests do not tell."""

from __future__ import annotations

from collections.abc import Sequence

from ctrfast.comparison.answer import LEVEL, FigureDifference
from ctrfast.comparison.runs import ComparedRun
from ctrfast.significance.bootstrap import REPLICATES

# What each judged figure is called, what a better one does, and whether higher is better.
JUDGED = {"auc": ("test AUC", "ranks", True), "log_loss": ("test log loss", "fits", False)}
_SMALLEST_BOOTSTRAP_P = 2 / (REPLICATES + 1)


def verdict(of: FigureDifference, comparisons: int) -> str:
    """One sentence, as in: b ranks better than a: test AUC +0.0031 (95 % interval ..., p = 1e-11, ...)."""
    name, does, higher_is_better = JUDGED[of.figure]
    evidence = f"{name} {of.difference:+.5f} (95 % interval {of.low:+.5f} to {of.high:+.5f}, {p_text(of)}, {_test(of)})"
    if of.is_real:
        better = (of.difference > 0) == higher_is_better
        return f"{of.run} {does} {'better' if better else 'worse'} than {of.baseline}: {evidence}."
    among = f"; of {comparisons:,} comparisons, p < {LEVEL / comparisons:.2g} would be" if comparisons > 1 else ""
    return f"No difference in {name} can be told between {of.run} and {of.baseline}: {evidence}{among}."


def p_text(of: FigureDifference) -> str:
    """`p = 0.031`; where the bootstrap can show no smaller one, `p < 0.002`."""
    if of.test == "bootstrap" and of.p <= _SMALLEST_BOOTSTRAP_P:
        return f"p < {_SMALLEST_BOOTSTRAP_P:.1g}"
    return f"p = {of.p:.2g}"


def notes_on(runs: Sequence[ComparedRun], over_seeds: bool) -> list[str]:
    """What the tests do not tell, and which runs they leave out."""
    if over_seeds:
        notes = ["The seeds of each settings were compared; each of them counts as one observation."]
        if len({run.rows for run in runs}) > 1:
            notes.append("The datasets differ, and so do the test rows: a difference may be that of the rows.")
        return notes
    notes = []
    silent = [run.name for run in runs if run.scores is None]
    if silent:
        notes.append(
            f"No test scores are kept with {', '.join(silent)}: there were no test rows, or the run is older than "
            "that. `ctrfast compare --data` scores runs on a dataset."
        )
    others = [run.name for run in runs[1:] if run.scores is not None and run.rows != runs[0].rows]
    if others:
        notes.append(
            f"The test rows of {', '.join(others)} are not known to be those of {runs[0].name}, as the datasets "
            "differ. No paired test is made: they are compared as independent samples, and a difference may be that "
            "of the rows. For a paired test give one dataset with `ctrfast compare --data`."
        )
    if len(silent) < len(runs):
        notes.append(
            "These tests are of the rows' chance alone, not of the seeds': two runs of the same settings differ too. "
            "Whether the settings differ, two or more seeds of each tell."
        )
    return notes


def _test(of: FigureDifference) -> str:
    earlier, later = of.samples
    if of.test == "welch":
        return f"Welch's test over {later:,} and {earlier:,} seeds"
    name = "DeLong's test" if of.test == "delong" else "bootstrap"
    return f"{name} on the same {later:,} rows" if of.paired else f"{name} on {later:,} rows and {earlier:,} others"
