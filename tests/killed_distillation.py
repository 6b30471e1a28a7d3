"""Distils in processes that are killed by SIGKILL: a SPEC as JSON on each line of standard input (`killed_child`).

place: `student` or `alone`, of whose training the fifth step of this process is the last; `report`, which is about to
be written.
"""

from itertools import count
from pathlib import Path

from ctrfast import distillation
from ctrfast.row_step import RowStep
from tests.killed_child import die, serve


def distil_and_die(spec):
    train, step = distillation.train, RowStep.__call__

    def watched(dataset, config, out, **keywords):
        taken = count(1)

        def dying(*args):
            figures = step(*args)
            if out.name == spec["place"] and next(taken) == 5:
                die()
            return figures

        RowStep.__call__ = dying
        train(dataset, config, out, **keywords)

    distillation.train = watched
    if spec["place"] == "report":
        distillation.write_file = lambda *_: die()
    run, data, out = (Path(spec[name]) for name in ("run", "data", "out"))
    distillation.distil(run, data, out, into="deepfm", epochs=1, resume=True)


if __name__ == "__main__":
    serve(distil_and_die)
